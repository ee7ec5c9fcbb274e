"""What cluster users copy for training: exercised with stand-ins of Slurm, once with the real torchrun and training."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import pipelines.train

RECIPES = Path(pipelines.train.__file__).parent / "recipes"
HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
TRAIN_FIXER = """
import os, pathlib, signal, sys, time
rank = int(os.environ["RANK"])
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))
pathlib.Path(sys.argv[1], f"rank{rank}").touch()
if rank == int(os.environ.get("FAILS", "-1")):
    sys.exit(int(os.environ["CODE"]))
time.sleep(0.0 if "CODE" in os.environ else 60.0)
"""


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def slurm(tmp_path: Path) -> Path:
    """A folder with stand-ins of srun and scontrol, which notes what it is asked."""
    executable(tmp_path / "srun", f'#!/bin/bash\nexec {sys.executable} {HERE / "srun.py"} "$@"\n')
    executable(
        tmp_path / "scontrol",
        f'#!/bin/bash\n[ "$1" = show ] && echo localhost || echo "$@" >>{tmp_path / "asked"}\n',
    )
    return tmp_path


@pytest.fixture
def stand_ins(slurm: Path) -> Path:
    """Also of torchrun, and of train-fixer: it says that it is there, stops with 75 at USR1, or ends with $CODE."""
    executable(slurm / "torchrun", f'#!/bin/bash\nexec {sys.executable} {HERE / "torchrun.py"} "$@"\n')
    executable(slurm / "train-fixer", f"#!{sys.executable}\n{TRAIN_FIXER}")
    return slurm


def submit(folder: Path, *options: object, gpus: int = 2, **more: str) -> subprocess.Popen:
    """The batch script of two nodes, as Slurm runs it on the first."""
    job = {
        "SLURM_JOB_ID": "77",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_GPUS_ON_NODE": str(gpus),
        "SLURM_SUBMIT_DIR": str(folder),
    }
    path = {"PATH": f"{folder}:{BIN}:{os.environ['PATH']}"}
    script = ["bash", RECIPES / "slurm_torchrun.sbatch", *map(str, options)]
    return subprocess.Popen(script, env={**os.environ, **job, **path, **more}, stderr=subprocess.PIPE, text=True)


def wait_for(there: Callable[[], bool], job: subprocess.Popen, seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not there():
        assert job.poll() is None and time.monotonic() < until
        time.sleep(0.02)


def test_time_is_running_out_and_all_ranks_of_all_nodes_save_and_the_job_queues_up_again(stand_ins: Path):
    job = submit(stand_ins, stand_ins)
    wait_for(lambda: len([*stand_ins.glob("rank*")]) == 4, job)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(20) == 75
    assert (stand_ins / "asked").read_text() == "requeue 77\n"
    assert not [*stand_ins.glob(".train-fixer-*")]


@pytest.mark.parametrize("code", ["0", "1"])
def test_a_job_that_is_done_or_fails_on_one_rank_ends_so_and_does_not_queue_up_again(stand_ins: Path, code: str):
    ended = submit(stand_ins, stand_ins, FAILS="3", CODE=code).wait(20)
    assert (ended == 0) == (code == "0") and ended != 75
    assert not (stand_ins / "asked").exists()


def test_a_failure_beside_a_rank_that_was_stopped_is_a_failure(stand_ins: Path):
    executable(stand_ins / "train-fixer", '#!/bin/bash\n[ "$RANK" -eq 0 ] && exit 75 || exit 1\n')
    assert submit(stand_ins).wait(20) not in (0, 75)
    assert not (stand_ins / "asked").exists()


@pytest.mark.slow
def test_two_torchruns_train_are_stopped_and_end_as_if_nothing_had_been(slurm: Path, tiny_data: Path):
    sizes = "--stage structure_vae --size tiny --encoders efficientnet_lite0 --batch-size 4 --max-steps 40 --workers 0"
    options = ["--shards", tiny_data, *sizes.split(), "--validation-samples", "1", "--device", "cpu"]
    undisturbed = submit(slurm, *options, "--run-dir", slurm / "undisturbed", gpus=1)
    assert undisturbed.wait(300) == 0, undisturbed.communicate()[1]

    cut = submit(slurm, *options, "--run-dir", slurm / "run", gpus=1)
    stage = slurm / "run/structure_vae"
    wait_for((stage / "metrics.jsonl").exists, cut)
    cut.send_signal(signal.SIGUSR1)
    said = cut.communicate(timeout=120)[1]
    assert cut.returncode == 75, said
    (checkpoint,) = (stage / "checkpoints").iterdir()
    assert 0 < int(checkpoint.name[-8:]) < 40 and f"saved {checkpoint}" in said
    assert (slurm / "asked").read_text() == "requeue 77\n"

    again = submit(slurm, *options, "--run-dir", slurm / "run", gpus=1)
    assert again.wait(300) == 0, again.communicate()[1]
    assert networks(slurm / "run") == networks(slurm / "undisturbed")


def networks(run: Path) -> dict[str, str]:
    """sha256 of each network of the result."""
    files = sorted((run / "structure_vae/result").glob("*.safetensors"))
    assert files
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
