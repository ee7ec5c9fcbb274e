"""What every stage is made from, and what they all do with it."""

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
from pipelines.train.outputs.identity import differences
from pipelines.train.settings.recipes import FlowRecipe, Recipe
from pipelines.train.settings.sizes import SystemSizes

_NOT_DECIDING = ("micro_batch_tokens", "sampler")  # fields of recipes: memory, and what validation draws


@runtime_checkable
class StartsQuickly(Protocol):
    """A network with a start of its own for runs of some hundreds of steps."""

    def start_quickly(self) -> object: ...


NetworkT = TypeVar("NetworkT", bound=nn.Module)
RecipeT = TypeVar("RecipeT", bound=Recipe)


@dataclass(frozen=True)
class StageEntry:
    """A stage in the registry.

    place: `module:Class`, called with (entry, context).
    makes: networks that it trains. needs: networks that must be there.
    starts_from: networks that it goes on from where they are there, the first one found; without any it starts afresh.
    uses: what it takes where it is there, and does without elsewhere (the weights of LPIPS).
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

    weights: networks of former stages, or given by the user, by name: places that `models.read_network` understands.
    facts: what former stages measured once (`StageResult.facts`), by stage.
    seed: of initial weights and of everything random about the samples.
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
        """The recipe as the kind that the stage is written for."""
        if not isinstance(self.recipe, kind):
            raise UsageError(f"this stage is trained by a {kind.__name__}, not by a {type(self.recipe).__name__}")
        return self.recipe

    def frozen(self, name: str, kind: type[NetworkT]) -> NetworkT:
        """A network that must be given, to be used and not to be trained. Raises PipelineError without it."""
        if name not in self.weights:
            raise PipelineError(
                f"this stage builds on the weights of {name}, which are not there; train the stage that makes them "
                "first (--stage all does), or give them with --init"
            )
        return freeze(self._read(name, kind), self.reference_compat)

    def trained(self, name: str, kind: type[NetworkT]) -> NetworkT:
        """A network to be trained: the one that is given, or else a fresh one."""
        return self._read(name, kind) if name in self.weights else self.fresh(name, kind)

    def fresh(self, name: str, kind: type[NetworkT]) -> NetworkT:
        """With initial weights, which the seed and the name decide."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed + zlib.crc32(name.encode()))
            network = construct(kind, self.sizes.config_of(name), self.execution, self.reference_compat)
            if self.recipe.quick_start and isinstance(network, StartsQuickly):
                network.start_quickly()
            return network

    @property
    def reference_compat(self) -> ReferenceCompat:
        """Which official bugs the recipe reproduces; recipes that none of them touches do not say."""
        return getattr(self.recipe, "reference_compat", MENDED)

    def _read(self, name: str, kind: type[NetworkT]) -> NetworkT:
        """Raises PipelineError if it is not what its name says, or of another size than this system."""
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
        """What decides a stage's result, as JSON."""
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
    """What stages have in common; together with the rest of its subclass an implementation of `Stage`."""

    def __init__(self, entry: StageEntry, context: StageContext) -> None:
        self.name, self.entry, self.context = entry.name, entry, context

    def facts(self, module: Any, batches: Iterable[Any]) -> dict[str, Any]:
        """How long a flow was trained, and how it was sampled for its measures: as completion is to sample it."""
        recipe = self.context.recipe
        return {"steps": recipe.steps, "sampler": asdict(recipe.sampler)} if isinstance(recipe, FlowRecipe) else {}

    def describe(self) -> dict[str, Any]:
        return self.context.describe()


def weights_digest(source: str | Path) -> str:
    """12 hex digits of a weights file's sha256."""
    with locate(source)[1].open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
