"""From the options of a command to what stages and the loop are given."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import torch

from models.execution import Execution
from pipelines.encoders.protocol import ImageEncoders
from pipelines.train.data.options import DataLocation, DataOptions
from pipelines.train.initial_weights import Known
from pipelines.train.loop.options import LoopOptions
from pipelines.train.optimisation.distributed import Ranks
from pipelines.train.outputs.checkpoints import Retention
from pipelines.train.settings.config import TrainConfig
from pipelines.train.settings.recipes import Recipe, recipe
from pipelines.train.settings.sizes import system_sizes
from pipelines.train.stages.context import StageContext

# Whose features are in the voxels: the extractor of `scenegen objects` that is the same network as the encoder.
EXTRACTORS = {"official": "dinov2", "efficientnet_lite0": "efficientnet_lite0"}
_MOST_WORKERS = 16


def stage_context(name: str, config: TrainConfig, encoders: ImageEncoders, known: Known) -> StageContext:
    """What stage `name` is made from."""
    checkpoint_blocks = config.size == "official" if config.checkpoint_blocks is None else config.checkpoint_blocks
    return StageContext(
        recipe=stage_recipe(name, config),
        sizes=system_sizes(config.size, encoders.sizes),
        data=replace(data_options(config), image_px=encoders.sizes.image_px),
        encoders=encoders,
        weights=known.weights,
        facts=known.facts,
        seed=config.seed,
        execution=Execution(checkpoint_blocks=checkpoint_blocks),
    )


def stage_recipe(name: str, config: TrainConfig) -> Recipe:
    """The recipe with what the command changes of it."""
    asked = {
        "steps": config.max_steps,
        "batch_size": config.batch_size,
        "learning_rate": config.learning_rate,
        "micro_batch_tokens": config.micro_batch_tokens,
    }
    changes: dict[str, Any] = {option: value for option, value in asked.items() if value is not None}
    return replace(recipe(name, config.size), **changes)


def data_options(config: TrainConfig) -> DataOptions:
    """The datasets, and what is drawn from them; the size of images is for the encoders to say."""
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


def loop_options(config: TrainConfig, ranks: Ranks) -> LoopOptions:
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
    )


def compute_threads(workers: int, ranks: Ranks) -> int | None:
    """Threads of this rank on the CPU beside its loading processes; None where they do not matter or are chosen.

    A thread that has to wait for its core holds up all others at the end of every operation: on two cores of which one
    was busy, steps with two threads took four times as long as with one.
    """
    if ranks.device.type != "cpu" or "OMP_NUM_THREADS" in os.environ:
        return None
    return max(1, _cores() - workers)


def _workers(config: TrainConfig, ranks: Ranks) -> int:
    """Of this rank: the cores that the ranks of this machine leave, shared equally."""
    if config.workers != "auto":
        return config.workers
    return max(0, min(_MOST_WORKERS, _cores() - 1))


def _cores() -> int:
    """Of this rank: those of the machine, shared equally by its ranks."""
    return len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
