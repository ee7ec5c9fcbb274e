"""A process that dies while it starts, or is killed, costs a start; only one that always ends alike is fatal."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from jobs_harness import HERE, files_of, render, stored_config, worker_command

from scenegen.config import JobConfig
from scenegen.contract.storage import Root
from scenegen.errors import EXIT_DONE, SceneGenError
from scenegen.jobs.restarts import DiedAtStartError, DoesNotStartError, End, WorkerKilledError, start_with_retries

HASTY = JobConfig(start_pause_s=0.02)


def killed_command(moments: Path) -> tuple[str, ...]:
    return ("bash", str(HERE / "killed_worker.sh"), sys.executable, str(moments))


def run(folder: Path, num_scenes: int, job: JobConfig, command: tuple[str, ...]) -> int:
    return render(Root.open(folder), stored_config(num_scenes), job, command=command).exit_code


@pytest.mark.parametrize("tens", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_kills_at_the_start_and_at_any_moment_of_life_change_no_byte(ray_address, tmp_path: Path, tens: int):
    """Of ten kills nine come within the first 100 ms, one within two seconds."""
    rng = np.random.default_rng(7)
    kills = rng.permutation([*rng.uniform(0, 0.1, 9 * tens), *rng.uniform(0, 2, tens)])
    moments = tmp_path / "moments"
    moments.write_text("".join(f"{at:.3f}\n" + "lives\n" * (n % 15 == 14) for n, at in enumerate(kills)))
    job = JobConfig(start_pause_s=0.02, recycle_scenes=1)
    num_scenes = 2 * tens  # more than the lives and the late kills: no line of the file is left
    assert run(tmp_path / "killed", num_scenes, job, killed_command(moments)) == EXIT_DONE
    assert moments.read_text() == ""
    assert run(tmp_path / "undisturbed", num_scenes, JobConfig(), worker_command()) == EXIT_DONE
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "undisturbed")


def test_four_workers_killed_as_they_start_cost_four_starts(ray_address, uninterrupted, tmp_path: Path):
    moments = tmp_path / "moments"
    moments.write_text("0.2\n" * 4)
    assert run(tmp_path / "data", 8, HASTY, killed_command(moments)) == EXIT_DONE
    assert files_of(tmp_path / "data") == uninterrupted


def test_when_every_start_is_killed_the_run_ends_and_names_memory_not_the_set_up(ray_address, tmp_path: Path):
    killed = ("bash", "-c", "kill -9 $$")
    with pytest.raises(SceneGenError, match=r"kills the processes of workers.*SIGKILL.*memory.*kept") as caught:
        run(tmp_path, 8, HASTY, killed)
    assert "does not start" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_scene_whose_process_is_killed_at_every_try_is_recorded_and_the_others_are_made(make, tmp_path: Path):
    result = make(tmp_path, 4, JobConfig(start_pause_s=0.02, max_failed=1.0), killed=[1])
    assert result.exit_code == EXIT_DONE and "1 failed" in result.summary


def starts(*ends: int | None) -> Iterator[int | None]:
    """A start that fails in these ways, one after the other."""
    left = iter(ends)

    def start() -> str:
        end = next(left)
        if end == 0:
            return "ready"
        raise DiedAtStartError(End(end), "first line\nlast line")

    return start


@pytest.mark.parametrize("ends", [(0,), (-9, 0), (1, 0), (None, -11, 0), (3, 3, 0)])
def test_a_start_is_tried_three_times(ends):
    assert start_with_retries(starts(*ends), 0.001) == "ready"


def test_only_the_same_end_of_its_own_is_a_fault_of_the_set_up():
    with pytest.raises(DoesNotStartError, match=r"code 3, 3 times in a row.*\nfirst line\nlast line"):
        start_with_retries(starts(3, 3, 3), 0.001)
    for ends in ((-9, -9, -9), (-11, -11, -11), (3, -9, 3), (3, 4, 3)):
        with pytest.raises(WorkerKilledError, match="while it started") as caught:
            start_with_retries(starts(*ends), 0.001)
        assert "does not start" not in str(caught.value)


def test_a_shard_whose_actors_child_is_killed_as_it_starts_is_made_by_another_actor(ray_address, tmp_path: Path):
    from scenegen.jobs.shard_actors import ActorKind, ActorPlan, make_shards
    from tests.jobs.killed_actor import KilledOnce, Piece

    kind = ActorKind("nothing", "units", KilledOnce, str(tmp_path), "")
    tally = make_shards(kind, ActorPlan(1, 1, 1, 0), [Piece(0), Piece(1)], lambda event: None, threading.Event())
    assert tally.shards == 2 and not tally.failed
