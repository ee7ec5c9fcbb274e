"""Array tasks share the work without talking to each other, and getting in each other's way is harmless."""

from pathlib import Path

import pytest

from scenegen.contract.storage import Root
from scenegen.jobs.assignment import KUBERNETES_SIZE
from scenegen.verify.views import verify_dataset
from tests.box_runs.harness import files_of, stored_config


def slurm(task: int) -> dict[str, str]:
    values = {"ID": task, "MIN": 1, "MAX": 3, "COUNT": 3, "STEP": 1}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


def kubernetes(task: int) -> dict[str, str]:
    return {"JOB_COMPLETION_INDEX": str(task), KUBERNETES_SIZE: "3"}


def shard_numbers(folder: Path) -> list[int]:
    return sorted(int(path.name.split("-")[1]) for path in folder.glob("views-*.parquet"))


@pytest.mark.parametrize("environments", [[slurm(i) for i in (1, 2, 3)], [kubernetes(i) for i in range(3)]])
def test_three_tasks_make_every_shard_once_and_the_last_one_merges(make, monkeypatch, tmp_path: Path, environments):
    num_scenes = 17  # five shards, the last of one scene
    seen: list[int] = []
    for environment in environments:
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


def test_two_drivers_on_the_same_shards_at_once_leave_one_good_dataset(drive, uninterrupted, tmp_path: Path):
    drivers = [drive(tmp_path, seconds=0.1), drive(tmp_path, seconds=0.1)]
    assert [driver.wait(90) for driver in drivers] == [0, 0]
    assert files_of(tmp_path) == uninterrupted
    stored = stored_config()
    assert [*verify_dataset(Root.open(tmp_path), stored.config, stored.meta)] == []
