"""What cluster users copy is exercised as far as one machine allows."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import scenegen.jobs
from scenegen.jobs.assignment import KUBERNETES_SIZE, resolve_assignment

RECIPES = Path(scenegen.jobs.__file__).parent / "recipes"


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    """Stand-ins for scenegen (stops with 75 at a signal, else with $CODE) and scontrol (notes what it is asked)."""
    executable(
        tmp_path / "scenegen",
        f"#!{sys.executable}\n"
        "import os, signal, sys, time\n"
        "for number in (signal.SIGUSR1, signal.SIGTERM):\n"
        "    signal.signal(number, lambda *_: sys.exit(75))\n"
        f"open({str(tmp_path / 'asked')!r}, 'w').write(' '.join(sys.argv[1:]))\n"
        "if 'CODE' in os.environ: sys.exit(int(os.environ['CODE']))\n"
        "time.sleep(60)\n",
    )
    executable(tmp_path / "scontrol", f'#!/bin/bash\necho "$@" > {tmp_path / "requeued"}\n')
    return tmp_path


def start_task(stand_ins: Path, **environment: str) -> subprocess.Popen:
    own = {
        "PATH": f"{stand_ins}:{os.environ['PATH']}",
        "NUM_SCENES": "100",
        "DATA": "/shared/data",
        "SLURM_ARRAY_JOB_ID": "77",
        "SLURM_ARRAY_TASK_ID": "3",
    }
    return subprocess.Popen(["bash", RECIPES / "slurm_array.sbatch"], env=own | environment)


@pytest.mark.parametrize("name", ["slurm_array.sbatch", "ray_cluster.sh"])
def test_the_scripts_are_good_bash(name: str):
    assert subprocess.run(["bash", "-n", RECIPES / name], check=False).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_preempted_slurm_task_stops_scenegen_and_queues_up_again(stand_ins: Path, number: signal.Signals):
    task = start_task(stand_ins)
    while not (stand_ins / "asked").exists():
        time.sleep(0.02)
    time.sleep(0.2)
    task.send_signal(number)
    assert task.wait(20) == 75
    assert (stand_ins / "requeued").read_text().strip() == "requeue 77_3"
    assert (stand_ins / "asked").read_text() == "render --num-scenes 100 --out /shared/data --array auto"


def test_the_same_slurm_script_makes_the_objects_once_the_scenes_are_there(stand_ins: Path):
    assert start_task(stand_ins, CODE="0", STAGE="objects").wait(20) == 0
    assert (stand_ins / "asked").read_text() == "objects --data /shared/data --array auto"
    assert start_task(stand_ins, STAGE="everything").wait(20) == 2


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_slurm_task_that_ends_by_itself_is_not_queued_again(stand_ins: Path, code: int):
    assert start_task(stand_ins, CODE=str(code)).wait(20) == code
    assert not (stand_ins / "requeued").exists()


def test_the_kubernetes_job_states_its_size_once_and_the_same():
    yaml = pytest.importorskip("yaml")
    spec = yaml.safe_load((RECIPES / "kubernetes_indexed_job.yaml").read_text())["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    size = int(environment[KUBERNETES_SIZE])
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == size
    pods = [resolve_assignment("auto", environment | {"JOB_COMPLETION_INDEX": str(i)}) for i in range(size)]
    assert sorted(shard for pod in pods for shard in pod.shards(100)) == [*range(100)]
    ignored = [rule for rule in spec["podFailurePolicy"]["rules"] if rule["action"] == "Ignore"]
    assert any(75 in rule.get("onExitCodes", {}).get("values", []) for rule in ignored)
    assert {container["name"]} == {
        rule["onExitCodes"]["containerName"] for rule in spec["podFailurePolicy"]["rules"] if "onExitCodes" in rule
    }
