"""From the options of a command to its stages, and to the options of data and loop."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import torch

from models.execution import Execution, Recompute
from pipelines.encoders.protocol import ImageEncoders
from pipelines.train.data.options import DataOptions
from pipelines.train.data.readers import DataLocation
from pipelines.train.data.tables import check_tables
from pipelines.train.interfaces.stage import Stage
from pipelines.train.loop.options import LoopOptions
from pipelines.train.optimisation.distributed import Ranks
from pipelines.train.outputs.checkpoints import Retention
from pipelines.train.settings.config import TrainConfig
from pipelines.train.settings.initial_weights import StageInputs
from pipelines.train.settings.recipes import Recipe, recipe
from pipelines.train.settings.sizes import system_sizes
from pipelines.train.stages.context import StageContext
from pipelines.train.stages.registry import make_stage

# Image encoders -> the extractor of `scenegen objects` that is the same network, for image features in voxels.
EXTRACTORS = {"official": "dinov2", "efficientnet_lite0": "efficientnet_lite0"}
_MOST_WORKERS = 16


def build_stage(name: str, config: TrainConfig, encoders: ImageEncoders, inputs: StageInputs) -> Stage:
    """Stage `name`, ready to be trained.

    inputs: initial weights and the results of former stages. Raises UsageError, for example if a table is missing.
    """
    context = stage_context(name, config, encoders, inputs)
    check_tables(name, context.data)
    return make_stage(name, context)


def stage_context(name: str, config: TrainConfig, encoders: ImageEncoders, inputs: StageInputs) -> StageContext:
    """What stage `name` is made from."""
    return StageContext(
        recipe=stage_recipe(name, config),
        sizes=system_sizes(config.size, encoders.sizes),
        data=replace(data_options(config), image_px=encoders.sizes.image_px),
        encoders=encoders,
        weights=inputs.weights,
        facts=inputs.facts,
        seed=config.seed,
        execution=Execution(recompute=_recompute(config)),
    )


def _recompute(config: TrainConfig) -> Recompute:
    if config.recompute == "auto":
        return "blocks" if config.size == "official" else "nothing"
    return config.recompute


def stage_recipe(name: str, config: TrainConfig) -> Recipe:
    """The recipe of a stage, with the values that the command overrides."""
    asked = {
        "steps": config.max_steps,
        "batch_size": config.batch_size,
        "learning_rate": config.learning_rate,
        "micro_batch_tokens": config.micro_batch_tokens,
    }
    changes: dict[str, Any] = {option: value for option, value in asked.items() if value is not None}
    return replace(recipe(name, config.size), **changes)


def data_options(config: TrainConfig) -> DataOptions:
    """The datasets and how samples are drawn from them. Not yet the image size, which follows from the encoders."""
    weights = config.mix or (1.0,) * len(config.shards)
    places = zip(config.shards, config.tables, weights, strict=True)
    return DataOptions(
        locations=tuple(DataLocation(shards, tables, weight) for shards, tables, weight in places),
        estimators=config.estimators,
        extractor=EXTRACTORS[config.encoders],
        latents=config.latents,
        held_out=config.held_out,
        bad_rows=config.bad_rows,
    )


def loop_options(config: TrainConfig, ranks: Ranks, command: str = "") -> LoopOptions:
    """How each stage of the command is trained. command: as it was typed, to be recorded."""
    on_cuda = ranks.device.type == "cuda"
    half = config.precision == "bf16" or (config.precision == "auto" and on_cuda)
    return LoopOptions(
        seed=config.seed,
        precision=torch.bfloat16 if half else torch.float32,
        strategy=config.parallel,
        compile_blocks=config.compile,
        workers=_workers(config, ranks),
        seconds=None if config.max_minutes is None else 60 * config.max_minutes,
        resume=config.resume,
        every=config.every,
        validation_samples=config.validation_samples,
        retention=Retention(config.keep, config.keep_every),
        command=command,
        data=config.shards,
        wandb=config.wandb_project,
    )


def compute_threads(workers: int, ranks: Ranks) -> int | None:
    """Compute threads of this rank on the CPU: the cores that its loading processes leave, at least one.

    None on a GPU and where OMP_NUM_THREADS is set. A thread that waits for its core holds up all others at the end of
    every operation: on two cores of which one was busy, steps with two threads took four times as long as with one.
    """
    if ranks.device.type != "cpu" or "OMP_NUM_THREADS" in os.environ:
        return None
    return max(1, _cores() - workers)


def _workers(config: TrainConfig, ranks: Ranks) -> int:
    """Loading processes of this rank: by default its cores but one."""
    if config.workers != "auto":
        return config.workers
    return max(0, min(_MOST_WORKERS, _cores() - 1))


def _cores() -> int:
    """Cores of this rank: those of the machine, shared equally by its ranks."""
    return len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
