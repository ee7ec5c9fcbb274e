"""One of several processes of a run, for test_ranks.py: rank.py FOLDER, under torchrun's environment variables.

Trains the spheres as two ranks do, in whole weights and in shards, and writes what each rank was given.
"""

import sys
import threading
from dataclasses import replace
from pathlib import Path

import torch

from pipelines.train.loop.loop import train_stage
from pipelines.train.optimisation.distributed import process_group
from tests.train.loop.spheres import OPTIONS, RECIPE, SphereStage
from tests.train.loop.test_ranks import Recording


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with process_group("cpu") as ranks:
        for run, strategy, steps in (("mixed", "ddp", 6), ("ddp", "ddp", 4), ("fsdp", "fsdp", 2), ("fsdp", "fsdp", 4)):
            stage = SphereStage(recipe=replace(RECIPE, steps=steps))
            loader = Recording(folder / f"{run}-{steps}-rank{ranks.rank}.json", world_size=2)
            options = replace(OPTIONS, strategy=strategy)
            train_stage(stage, loader, options, ranks, folder / run, threading.Event())
        timed = SphereStage(recipe=replace(RECIPE, steps=10**6))  # its time is over on one rank, and ends both
        seconds = 0.0 if ranks.is_main else 1e6
        options, loader = replace(OPTIONS, seconds=seconds), Recording(folder / f"timed{ranks.rank}.json", world_size=2)
        train_stage(timed, loader, options, ranks, folder / "timed", threading.Event())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
