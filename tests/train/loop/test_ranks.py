"""Two processes on the CPU do what one does."""

import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipelines.train.loop.loop import train_stage
from pipelines.train.outputs.metrics_log import read_metrics
from tests.train.loop.spheres import ALONE, OPTIONS, RECIPE, RealLoader, SphereStage

ROOT = Path(__file__).resolve().parents[3]


class Recording(RealLoader):
    """Writes the samples of each step that this rank was given to train on (and not those for the stage's facts)."""

    def __init__(self, file, world_size):
        self.file, self.world_size, self.steps = file, world_size, {}

    def training_batches(self, source, options, first_step):
        for step, batches in enumerate(super().training_batches(source, options, first_step), start=first_step):
            if options.world_size == self.world_size:
                self.steps[step] = [int(index) for batch in batches for index in batch.index_B]
                self.file.write_text(json.dumps(self.steps))
            yield batches


def given(folder, run, steps):
    """Samples of each step, of all ranks together, in their order."""
    ranks = [json.loads(file.read_text()) for file in sorted(folder.glob(f"{run}-{steps}-rank*.json"))]
    return {int(step): sorted(index for rank in ranks for index in rank[step]) for step in ranks[0]}


def free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def two_ranks(folder):
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.train.loop.rank", str(folder)]
    processes = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **shared, "RANK": r, "LOCAL_RANK": r},
        )
        for r in ("0", "1")
    ]
    errors = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder with runs of two ranks: `mixed` (2 steps alone before, 4 by two), `ddp`, `fsdp` (2 steps, then 2 more)."""
    folder = tmp_path_factory.mktemp("ranks")
    train_alone(folder, "mixed", 2)
    two_ranks(folder)
    train_alone(folder, "mixed", 8)
    train_alone(folder, "alone", 8)
    return folder


def train_alone(folder, run, steps):
    stage = SphereStage(recipe=replace(RECIPE, steps=steps))
    loader = Recording(folder / f"{run}-{steps}-rank0.json", world_size=1)
    train_stage(stage, loader, OPTIONS, ALONE, folder / run, threading.Event())


def weights(folder, run, step):
    return load_file(folder / run / f"checkpoints/step-{step:08d}/ema/sphere_flow.safetensors")


def test_one_two_and_one_ranks_see_the_samples_of_one(runs):
    alone = given(runs, "alone", 8)
    parts = given(runs, "mixed", 2) | given(runs, "mixed", 6) | given(runs, "mixed", 8)
    assert parts == alone and len(alone) == 8


def test_a_stage_whose_time_is_over_on_one_rank_ends_on_both_at_the_next_step(runs):
    assert json.loads((runs / "timed/result/result.json").read_text())["step"] == 2


@pytest.mark.parametrize("run", ["mixed", "ddp", "fsdp"])
def test_two_ranks_compute_what_one_computes(runs, run):
    step = 8 if run == "mixed" else 4
    theirs, alone = weights(runs, run, step), weights(runs, "alone", step)
    for name, value in alone.items():
        torch.testing.assert_close(theirs[name], value, rtol=0, atol=2e-5, msg=name)


@pytest.mark.parametrize("run", ["mixed", "ddp", "fsdp"])
def test_two_ranks_measure_what_one_measures(runs, run):
    theirs, alone = (read_metrics(runs / name / "metrics.jsonl") for name in (run, "alone"))
    mine = {(line["kind"], line["step"]): line for line in alone}
    assert len(theirs) >= 6
    for line in theirs:
        expected = mine[line["kind"], line["step"]]
        for name in line.keys() - {"kind", "step", "time", "samples_per_s", "data_wait"}:
            assert line[name] == pytest.approx(expected[name], rel=1e-3), (line["kind"], line["step"], name)
