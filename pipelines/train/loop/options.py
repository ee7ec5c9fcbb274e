"""How a stage is trained, and what of that decides its result."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import torch

from pipelines.train.optimisation.distributed import Ranks
from pipelines.train.optimisation.parallel import Strategy
from pipelines.train.outputs.checkpoints import Retention
from pipelines.train.outputs.identity import as_json
from pipelines.train.settings.datasets import only_what_is_read
from pipelines.train.stage import LoaderOptions, LoopRecipe, Stage

_NOT_DECIDING = ("steps", "micro_batch_tokens")


@dataclass(frozen=True)
class LoopOptions:
    """How a stage is trained. Of these, seed and precision decide the result.

    precision: of forward passes; weights are float32. every: steps between two validations with a checkpoint, None for
    a tenth of all, between 10 and 1000. log_every: steps of one line of the metrics. max_skipped: steps in a row whose
    gradient was not finite, after which training ends with an error. seconds: after which the stage is finished at the
    step it has reached. resume: "auto" goes on from the newest
    checkpoint, "never" refuses a folder that has one, a path is a checkpoint to go on from.
    """

    seed: int = 0
    precision: torch.dtype = torch.float32
    strategy: Strategy = "ddp"
    compile_blocks: bool = False
    workers: int = 0
    seconds: float | None = None
    resume: str = "auto"
    every: int | None = None
    log_every: int = 10
    validation_samples: int = 64
    max_skipped: int = 20
    retention: Retention = field(default_factory=Retention)


def describe_run(stage: Stage, options: LoopOptions) -> dict[str, Any]:
    """What decides the result of a stage, and is compared before anything goes on."""
    described = stage.describe()
    read_by_loop = {field.name: getattr(stage.recipe, field.name) for field in fields(LoopRecipe)}
    recipe = {**read_by_loop, **described.get("recipe", {})}
    precision = str(options.precision).removeprefix("torch.")
    return as_json(
        {
            **described,
            "stage": stage.name,
            "precision": precision,
            "data": only_what_is_read(stage.name, described.get("data", {})),
            "recipe": {name: value for name, value in recipe.items() if name not in _NOT_DECIDING},
        }
    )


def loader_options(recipe: LoopRecipe, options: LoopOptions, ranks: Ranks) -> LoaderOptions:
    return LoaderOptions(
        seed=options.seed,
        batch_size=recipe.batch_size,
        micro_batch_tokens=recipe.micro_batch_tokens,
        rank=ranks.rank,
        world_size=ranks.world_size,
        workers=options.workers,
        pin_memory=ranks.device.type == "cuda",
    )
