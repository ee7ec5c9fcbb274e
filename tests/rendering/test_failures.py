"""What goes wrong with one scene stays with that scene; what goes wrong with all of them stops the run at once."""

import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from scenegen.config import CameraConfig, JobConfig
from scenegen.contract.dataset import Dataset
from scenegen.contract.storage import Root
from scenegen.errors import EXIT_DONE, EXIT_TOO_MANY_FAILURES, SceneGenError
from scenegen.verify.views import verify_dataset
from tests.box_runs.harness import PLAIN, files_of, render, stored_config, worker_command

LENIENT = replace(PLAIN, max_failed=1.0)


def failures(folder: Path) -> dict[int, str]:
    return {scene.scene_index: scene.failure for scene in Dataset.open(folder).scenes() if scene.status == "failed"}


def problems(folder: Path) -> list:
    stored = stored_config()
    return [*verify_dataset(Root.open(folder), stored.config, stored.meta)]


def test_scenes_that_hang_crash_are_killed_or_meet_a_bug_are_recorded_and_the_others_are_made(make, tmp_path: Path):
    started = time.monotonic()
    troubles = {"raise": [0], "crash": [1], "hang": [2], "killed": [5]}
    result = make(tmp_path, 8, replace(LENIENT, scene_timeout_s=2.0), **troubles)
    assert result.exit_code == EXIT_DONE and "4 failed" in result.summary
    assert time.monotonic() - started < 60
    recorded = failures(tmp_path)
    assert re.match(r"crash: the renderer's process was ended by SIGKILL at every try; its memory", recorded.pop(5))
    assert recorded == {
        0: "KeyError: 'a bug'",
        1: "crash: the renderer's process was ended by SIGSEGV",
        2: "timeout: not finished after 2 s",
    }
    assert len(Dataset.open(tmp_path)) == 4 * 2
    assert problems(tmp_path) == []


def test_a_process_that_dies_once_gets_a_second_try(make, uninterrupted, tmp_path: Path):
    assert make(tmp_path / "data", 8, crash_once=[3, 5], marks=str(tmp_path)).exit_code == EXIT_DONE
    assert (tmp_path / "crashed-3").exists()
    assert files_of(tmp_path / "data") == uninterrupted


def test_a_corrupt_asset_is_left_out_and_the_scene_made_from_others(make, tmp_path: Path):
    corrupt = ["box/3", "box/11", "box/20"]
    assert make(tmp_path, 8, corrupt=corrupt).exit_code == EXIT_DONE
    assert failures(tmp_path) == {}
    used = {o.asset_uid for scene in Dataset.open(tmp_path).scenes() for o in scene.objects}
    assert used and not used & set(corrupt)
    left_out = [
        tuple(entry) for path in tmp_path.glob("_ledger/*") for entry in json.loads(path.read_text())["quarantined"]
    ]
    assert {uid for _, uid, _ in left_out} <= set(corrupt) and left_out
    assert "truncated file" in (tmp_path / "README.md").read_text()
    assert problems(tmp_path) == []


def test_more_failures_than_allowed_give_3_and_can_be_tried_again(make, uninterrupted, tmp_path: Path):
    result = make(tmp_path, 8, replace(PLAIN, max_failed=0.2), fail=[1, 6])
    assert result.exit_code == EXIT_TOO_MANY_FAILURES
    assert "2 of 8 scenes failed" in result.summary and "--retry-failed" in result.summary
    assert failures(tmp_path) == {1: "nothing to see", 6: "nothing to see"}
    assert make(tmp_path, 8, replace(PLAIN, retry_failed=True)).exit_code == EXIT_DONE
    assert files_of(tmp_path) == uninterrupted


def test_when_everything_fails_the_run_ends_early_and_says_why(make, tmp_path: Path):
    with pytest.raises(SceneGenError, match=r"first 10 scenes all failed.*nothing to see"):
        make(tmp_path, 40, fail_all=True)


def test_a_disk_that_takes_no_more_is_one_clear_error_and_nothing_is_lost(make, uninterrupted, tmp_path: Path):
    with pytest.raises(SceneGenError, match=r"cannot write to .*File too large.*make room") as caught:
        make(tmp_path, file_limit=20_000)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["config.json"]
    assert make(tmp_path).exit_code == EXIT_DONE
    assert files_of(tmp_path) == uninterrupted


def test_a_time_limit_that_every_scene_would_exceed_is_refused_with_a_better_one(ray_address, tmp_path: Path):
    large = stored_config(4, camera=CameraConfig(num_views=60, resolution_px=1024))
    hasty = JobConfig(scene_timeout_s=0.5)
    with pytest.raises(SceneGenError, match=r"more than --scene-timeout 0.5 s.*Give --scene-timeout \d+"):
        render(Root.open(tmp_path), large, hasty, command=worker_command())


def test_a_worker_that_cannot_start_is_one_clear_error(ray_address, tmp_path: Path):
    with pytest.raises(SceneGenError, match=r"the worker does not start.*code 3"):
        render(Root.open(tmp_path), stored_config(2), PLAIN, command=(sys.executable, "-c", "raise SystemExit(3)"))
