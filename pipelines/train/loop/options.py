"""The options of the loop, and the description of a run: what decides its result."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import torch

from pipelines.train.interfaces.loading import LoaderOptions
from pipelines.train.interfaces.stage import LoopRecipe, Stage
from pipelines.train.optimisation.distributed import Ranks
from pipelines.train.optimisation.parallel import Strategy
from pipelines.train.outputs.checkpoints import Retention
from pipelines.train.outputs.description import as_json

_NOT_DECIDING = ("steps", "micro_batch_tokens")  # fields of LoopRecipe that may change when a run resumes


@dataclass(frozen=True)
class LoopOptions:
    """How a stage is trained. Only `seed` and `precision` decide the result.

    precision: of forward passes; weights are float32.
    compile_blocks: torch.compile the repeated blocks. workers: loading processes of each rank.
    seconds: time limit, after which the stage is finished at the step it has reached; None for no limit.
    resume: "auto" from the newest checkpoint; "never" refuses a folder that has one; or the path of a checkpoint.
    every: steps between two validations, each with a checkpoint; None for a tenth of all steps, from 10 to 1000.
    log_every: steps between two lines of the metrics. validation_samples: at most, over all ranks.
    max_skipped: so many steps in a row that are not finite end training with an error.
    command, data: how the run was started and where its shards are; they are recorded, no more.
    wandb: a project of Weights & Biases that gets the log, too; None for none.
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
    wandb: str | None = None
    retention: Retention = field(default_factory=Retention)
    command: str = ""
    data: tuple[str, ...] = ()


def describe_run(stage: Stage, options: LoopOptions) -> dict[str, Any]:
    """What decides the result of a stage, as JSON. A run with another description does not resume from it."""
    described = stage.describe()
    read_by_loop = {field.name: getattr(stage.recipe, field.name) for field in fields(LoopRecipe)}
    recipe = {**read_by_loop, **described.get("recipe", {})}
    precision = str(options.precision).removeprefix("torch.")
    return as_json(
        {
            **described,
            "stage": stage.name,
            "precision": precision,
            "recipe": {name: value for name, value in recipe.items() if name not in _NOT_DECIDING},
        }
    )


def loader_options(recipe: LoopRecipe, options: LoopOptions, ranks: Ranks) -> LoaderOptions:
    """How this rank's batches are made."""
    return LoaderOptions(
        seed=options.seed,
        batch_size=recipe.batch_size,
        micro_batch_tokens=recipe.micro_batch_tokens,
        rank=ranks.rank,
        world_size=ranks.world_size,
        workers=options.workers,
        pin_memory=ranks.device.type == "cuda",
    )
