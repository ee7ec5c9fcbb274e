"""Checkpoints: folders that hold everything that a run resumes from.

    STAGE/checkpoints/step-00001000/
        trainer.json                             step, description of the run, its digest
        networks/NAME.json, NAME.safetensors     weights, in the official layout
        ema/NAME.json, NAME.safetensors          their moving averages, in the same layout
        optimiser.safetensors                    momentum/..., variance/..., scalars/...

A folder is renamed into place when everything in it is on the disk, so every folder with that name is complete.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from models.checkpoints import load_state, locate, read_state, write_network
from pipelines.atomic import complete_folder
from pipelines.errors import UsageError
from pipelines.train.interfaces.stage import TrainingModule
from pipelines.train.optimisation.learner import LearnerState
from pipelines.train.outputs.description import as_json, digest, refuse_another

_FORMAT = 1
_GROUPS = ("momentum", "variance")


@dataclass(frozen=True)
class Networks:
    """The networks of a stage as parts of its training module.

    by_name: as `Stage.networks`. prefixes: by network, the prefix that its parameters' names have in the module.
    """

    by_name: Mapping[str, nn.Module]
    prefixes: Mapping[str, str]

    @classmethod
    def of(cls, module: TrainingModule, networks: Mapping[str, nn.Module]) -> Networks:
        """Raises ValueError if a network is not in the module, or a trained parameter in no network."""
        places = {id(part): name for name, part in module.named_modules()}
        lost = [name for name, network in networks.items() if id(network) not in places]
        prefixes = {name: f"{places[id(network)]}." for name, network in networks.items() if name not in lost}
        trained = [name for name, p in module.named_parameters() if p.requires_grad]
        unsaved = [name for name in trained if not name.startswith(tuple(prefixes.values()))]
        if lost or unsaved:
            raise ValueError(f"networks outside of the module: {lost}; trained but in no network: {unsaved}")
        return cls(dict(networks), prefixes)

    def write(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write all networks in the official layout. weights: whole trained parameters by their name in the module."""
        for name, network in self.by_name.items():
            write_network(network, folder / name, self._of_network(name, weights))

    def load(self, folder: Path) -> None:
        """Load weights that `write` stored into the networks. Called before the module is wrapped."""
        for name, network in self.by_name.items():
            device = next(network.parameters()).device
            _, file = locate(folder / name)
            load_state(network, read_state(file)[0], str(file), device=device)

    def read(self, folder: Path) -> dict[str, Tensor]:
        """Stored weights and buffers by their name in the module."""
        return {
            self.prefixes[name] + key: value
            for name in self.by_name
            for key, value in read_state(locate(folder / name)[1])[0].items()
        }

    def _of_network(self, name: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        prefix = self.prefixes[name]
        return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


@dataclass(frozen=True)
class Retention:
    """Which checkpoints are kept: the `last` newest, and those whose step is a multiple of `every` (0: no others)."""

    last: int = 3
    every: int = 0


class Checkpoints:
    """The checkpoints of one stage of one run. description: of the run, see `Stage.describe`."""

    def __init__(self, folder: Path, description: Mapping[str, Any], retention: Retention) -> None:
        self.folder, self._description, self._retention = folder, as_json(description), retention

    def all(self) -> list[Path]:
        """All complete checkpoints, oldest first."""
        return sorted(self.folder.glob("step-*"))

    def newest(self) -> Path | None:
        return next(reversed(self.all()), None)

    def save(self, step: int, networks: Networks, weights: Mapping[str, Tensor], state: LearnerState) -> Path:
        """Write the state after `step` steps and remove checkpoints that are not kept. Called on rank 0 only.

        weights: whole trained parameters by their name in the module.
        """
        target = self.folder / f"step-{step:08d}"
        with complete_folder(target) as folder:
            networks.write(folder / "networks", weights)
            networks.write(folder / "ema", state.average)
            _write_tensors(folder / "optimiser.safetensors", state)
            content = {"format": _FORMAT, "step": step, "digest": digest(self._description)}
            content["description"] = self._description
            (folder / "trainer.json").write_text(json.dumps(content, indent=1) + "\n")
        self._prune()
        return target

    def step_of(self, checkpoint: Path) -> int:
        """Steps done in a checkpoint. Raises UsageError for one of another run, with every difference."""
        try:
            stored = json.loads((checkpoint / "trainer.json").read_text())
        except FileNotFoundError:
            raise UsageError(
                f"{checkpoint} is no checkpoint of train-fixer (no trainer.json); give a folder like "
                "RUN/STAGE/checkpoints/step-00001000"
            ) from None
        refuse_another(stored["description"], self._description, str(checkpoint))
        return int(stored["step"])

    def state(self, checkpoint: Path, networks: Networks) -> LearnerState:
        """The state that a learner resumes from; the weights are read with `Networks.load`."""
        from safetensors.torch import load_file

        tensors = load_file(checkpoint / "optimiser.safetensors")
        groups: dict[str, dict[str, Tensor]] = {group: {} for group in (*_GROUPS, "scalars")}
        for key, value in tensors.items():
            group, _, name = key.partition("/")
            groups[group][name] = value
        return LearnerState(average=networks.read(checkpoint / "ema"), **groups)

    def _prune(self) -> None:
        for path in self.all()[: -self._retention.last]:
            step = int(path.name.removeprefix("step-"))
            if not self._retention.every or step % self._retention.every:
                shutil.rmtree(path, ignore_errors=True)


def _write_tensors(file: Path, state: LearnerState) -> None:
    from safetensors.torch import save_file

    groups = {"momentum": state.momentum, "variance": state.variance, "scalars": state.scalars}
    tensors = {
        f"{group}/{name}": value.contiguous() for group, values in groups.items() for name, value in values.items()
    }
    save_file(tensors, file)
