"""Array tasks share the work without talking to each other, and getting in each other's way is harmless."""

import signal
from pathlib import Path

from scenegen.contract.storage import Root
from scenegen.jobs.assignment import KUBERNETES_SIZE
from scenegen.verify.views import verify_dataset
from tests.box_runs.harness import children_at_work, files_of, spooled, stored_config, wait_until


def slurm(task: int) -> dict[str, str]:
    values = {"ID": task, "MIN": 1, "MAX": 3, "COUNT": 3, "STEP": 1}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


def kubernetes(task: int) -> dict[str, str]:
    return {"JOB_COMPLETION_INDEX": str(task), KUBERNETES_SIZE: "3"}


def shard_numbers(folder: Path) -> list[int]:
    return sorted(int(path.name.split("-")[1]) for path in folder.glob("views-*.parquet"))


def test_three_tasks_make_every_shard_once_and_the_last_one_merges(make, monkeypatch, tmp_path: Path):
    """Whoever says which task it is; a real array has one scheduler for all."""
    num_scenes = 17  # five shards, the last of one scene
    seen: list[int] = []
    for environment in (slurm(1), kubernetes(1), slurm(3)):
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            assert not (tmp_path / "dataset.json").exists()
            assert make(tmp_path, num_scenes).exit_code == 0
        new = sorted(set(shard_numbers(tmp_path)) - set(seen))
        assert len(new) in (1, 2)
        seen += new
    assert sorted(seen) == [*range(5)]
    stored = stored_config(num_scenes)
    assert [*verify_dataset(Root.open(tmp_path), stored.config, stored.meta)] == []


def test_two_drivers_at_once_and_a_worker_killed_in_the_middle_leave_one_good_dataset(
    drive, uninterrupted, tmp_path: Path
):
    drivers = [drive(tmp_path, seconds=0.2), drive(tmp_path, seconds=0.2)]
    wait_until(lambda: spooled(tmp_path) >= 1 and bool(children_at_work(tmp_path)))
    children_at_work(tmp_path)[0].send_signal(signal.SIGKILL)
    assert [driver.wait(90) for driver in drivers] == [0, 0]
    assert files_of(tmp_path) == uninterrupted
    stored = stored_config()
    assert [*verify_dataset(Root.open(tmp_path), stored.config, stored.meta)] == []
