"""Workers that are killed as they start, or at any moment, cost time and nothing else."""

import sys
from pathlib import Path

import numpy as np
import pytest

from scenegen.config import JobConfig
from scenegen.contract.storage import Root
from scenegen.errors import EXIT_DONE, SceneGenError
from tests.box_runs.harness import HERE, files_of, render, stored_config

HASTY = JobConfig(start_pause_s=0.02)


def killed_command(moments: Path) -> tuple[str, ...]:
    return ("bash", str(HERE / "killed_worker.sh"), sys.executable, str(moments))


def run(folder: Path, num_scenes: int, job: JobConfig, command: tuple[str, ...]) -> int:
    return render(Root.open(folder), stored_config(num_scenes), job, command=command).exit_code


@pytest.mark.parametrize("tens", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_kills_at_the_start_and_at_any_moment_of_life_change_no_byte(make, uninterrupted, tmp_path: Path, tens: int):
    """Four kills while both workers load; of ten more, nine come within 100 ms and one within two seconds."""
    rng = np.random.default_rng(7)
    kills = rng.permutation([*rng.uniform(0, 0.1, 9 * tens), *rng.uniform(0, 2, tens)])
    moments = tmp_path / "moments"
    lines = "".join(f"{at:.3f}\n" + "lives\n" * (n % 15 == 14) for n, at in enumerate(kills))
    moments.write_text("0.2\n" * 4 + lines)
    job = JobConfig(start_pause_s=0.02, recycle_scenes=1)
    num_scenes = max(8, 2 * tens)  # more than the lives and the late kills: no line of the file is left
    assert run(tmp_path / "killed", num_scenes, job, killed_command(moments)) == EXIT_DONE
    assert moments.read_text() == ""
    undisturbed = uninterrupted
    if num_scenes > 8:
        assert make(tmp_path / "undisturbed", num_scenes).exit_code == EXIT_DONE
        undisturbed = files_of(tmp_path / "undisturbed")
    assert files_of(tmp_path / "killed") == undisturbed


def test_when_every_start_is_killed_the_run_ends_and_names_memory_not_the_set_up(ray_address, tmp_path: Path):
    killed = ("bash", "-c", "kill -9 $$")
    with pytest.raises(SceneGenError, match=r"kills the processes of workers.*SIGKILL.*memory.*kept") as caught:
        run(tmp_path, 8, HASTY, killed)
    assert "does not start" not in str(caught.value) and "\n" not in str(caught.value)
