"""What every stage is made from: its entry in the registry, its context, and a base class."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import nn

from models.checkpoints import Runtime, locate, read_network
from models.compat import MENDED, ReferenceCompat
from models.execution import DEFAULT_EXECUTION, Execution
from models.registry import construct
from models.weights import freeze
from pipelines.encoders.protocol import ImageEncoders
from pipelines.errors import PipelineError, UsageError
from pipelines.train.data.options import DataOptions
from pipelines.train.data.tables import only_what_is_read
from pipelines.train.outputs.description import differences
from pipelines.train.settings.recipes import FlowRecipe, Recipe
from pipelines.train.settings.sizes import SystemSizes

_NOT_DECIDING = ("micro_batch_tokens", "sampler")  # fields of recipes that do not decide what is trained


@runtime_checkable
class StartsQuickly(Protocol):
    """A network with initial weights of its own for runs of some hundreds of steps."""

    def start_quickly(self) -> object: ...


NetworkT = TypeVar("NetworkT", bound=nn.Module)
RecipeT = TypeVar("RecipeT", bound=Recipe)


@dataclass(frozen=True)
class StageEntry:
    """A stage in the registry; `makes` and the fields below it are names of networks.

    place: `module:Class`, which is called with (entry, context).
    makes: trained by this stage. needs: must be available.
    starts_from: its initial weights if available, the first one found; otherwise it starts from fresh networks.
    uses: optional (the weights of LPIPS).
    """

    name: str
    place: str
    makes: tuple[str, ...]
    needs: tuple[str, ...] = ()
    starts_from: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageContext:
    """Everything about a stage that its class does not decide.

    weights: places of networks by name, of initial weights and of former stages; as `models.read_network` reads them.
    facts: what former stages measured once (`StageResult.facts`), by stage.
    seed: of initial weights and of everything random about the samples.
    execution: how blocks compute (recomputation of activations).
    """

    recipe: Recipe
    sizes: SystemSizes
    data: DataOptions
    encoders: ImageEncoders
    weights: Mapping[str, str | Path] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seed: int = 0
    execution: Execution = DEFAULT_EXECUTION

    def recipe_as(self, kind: type[RecipeT]) -> RecipeT:
        """The recipe as the class that the stage is written for. Raises UsageError if it is of another class."""
        if not isinstance(self.recipe, kind):
            raise UsageError(f"this stage is trained by a {kind.__name__}, not by a {type(self.recipe).__name__}")
        return self.recipe

    def frozen(self, name: str, kind: type[NetworkT]) -> NetworkT:
        """A network that is used and not trained. Raises PipelineError if its weights are missing."""
        if name not in self.weights:
            raise PipelineError(
                f"this stage builds on the weights of {name}, which are not there; train the stage that makes them "
                "first (--stage all does), or give them with --init"
            )
        return freeze(self._read(name, kind), self.reference_compat)

    def trained(self, name: str, kind: type[NetworkT]) -> NetworkT:
        """A network to be trained, from the available weights or else with fresh ones."""
        return self._read(name, kind) if name in self.weights else self.fresh(name, kind)

    def fresh(self, name: str, kind: type[NetworkT]) -> NetworkT:
        """A network with fresh weights, which follow from the seed and the name."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed + zlib.crc32(name.encode()))
            network = construct(kind, self.sizes.config_of(name), self.execution, self.reference_compat)
            if self.recipe.quick_start and isinstance(network, StartsQuickly):
                network.start_quickly()
            return network

    @property
    def reference_compat(self) -> ReferenceCompat:
        """Which official bugs the recipe reproduces; none for recipes without this field."""
        return getattr(self.recipe, "reference_compat", MENDED)

    def _read(self, name: str, kind: type[NetworkT]) -> NetworkT:
        """A network from its weights. Raises PipelineError if it is of another class or size than its name says."""
        place, config = self.weights[name], self.sizes.config_of(name)
        network = read_network(place, Runtime(self.execution, self.reference_compat))
        if not isinstance(network, kind):
            raise PipelineError(f"{place} holds a {type(network).__name__}, but {name} is a {kind.__name__}")
        own: Any = network.config
        if own != config:
            lines = "\n  ".join(differences(asdict(own), asdict(config)))
            raise PipelineError(f"{place} is of another size than this system (its own -> wanted):\n  {lines}")
        return network

    def describe(self) -> dict[str, Any]:
        """What decides the result, as JSON; all of the data, see `StageBase.describe`."""
        recipe = {key: value for key, value in asdict(self.recipe).items() if key not in _NOT_DECIDING}
        return {
            "recipe": {"kind": type(self.recipe).__name__, **recipe},
            "size": asdict(self.sizes),
            "encoders": {"name": self.encoders.name, **asdict(self.encoders.sizes)},
            "data": self.data.describe(),
            "seed": self.seed,
            "weights": {name: weights_digest(place) for name, place in sorted(self.weights.items())},
        }


class StageBase:
    """What stages have in common. A subclass adds the rest of the `Stage` protocol."""

    def __init__(self, entry: StageEntry, context: StageContext) -> None:
        self.name, self.entry, self.context = entry.name, entry, context

    def facts(self, module: Any, batches: Iterable[Any]) -> dict[str, Any]:
        """Of a flow: its steps, and the sampler of its measures, which completion is to use."""
        recipe = self.context.recipe
        return {"steps": recipe.steps, "sampler": asdict(recipe.sampler)} if isinstance(recipe, FlowRecipe) else {}

    def describe(self) -> dict[str, Any]:
        """What decides the result, as JSON; of the data only what this stage reads."""
        described = self.context.describe()
        return {**described, "data": only_what_is_read(self.name, described["data"])}


def weights_digest(source: str | Path) -> str:
    """12 hex digits of a weights file's sha256."""
    with locate(source)[1].open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
