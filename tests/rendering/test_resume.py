"""Killed at any moment and run again, a dataset is byte for byte the one of an undisturbed run."""

import os
import signal
import threading
from pathlib import Path

import pytest

from scenegen.jobs.signals import stop_on_signal
from tests.box_runs.harness import children_at_work, files_of, spooled, wait_until


def spool_times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.glob("_spool/*/scene-*.parquet")}


def damage_two_scenes(folder: Path) -> None:
    """One is cut short, one has a wrong byte in a page; both must be made again."""
    first, second, *_ = sorted(folder.glob("_spool/*/scene-*.parquet"))
    first.write_bytes(first.read_bytes()[:-200])
    content = bytearray(second.read_bytes())
    content[1200] ^= 0xFF
    second.write_bytes(content)


def test_a_driver_killed_in_the_middle_of_a_shard_resumes(make, drive, uninterrupted, tmp_path: Path):
    driver = drive(tmp_path, seconds=0.3)
    wait_until(lambda: spooled(tmp_path) >= 2)
    driver.send_signal(signal.SIGKILL)
    driver.wait(10)
    finished = spooled(tmp_path)
    assert finished < 8
    wait_until(lambda: not children_at_work(tmp_path), 20)
    assert make(tmp_path).exit_code == 0
    assert files_of(tmp_path) == uninterrupted


def test_a_signal_to_stop_gives_75_and_loses_no_finished_scene(make, drive, uninterrupted, tmp_path: Path):
    driver = drive(tmp_path, seconds=0.3)
    wait_until(lambda: spooled(tmp_path) >= 2)
    before = spool_times(tmp_path)
    driver.send_signal(signal.SIGTERM)
    assert driver.wait(30) == 75
    assert before.items() <= spool_times(tmp_path).items() or [*tmp_path.glob("views-*.parquet")]
    assert not children_at_work(tmp_path)
    damage_two_scenes(tmp_path)
    assert make(tmp_path).exit_code == 0
    assert files_of(tmp_path) == uninterrupted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_every_signal_that_schedulers_and_people_send_asks_to_stop(number):
    stop = threading.Event()
    before = signal.getsignal(number)
    with stop_on_signal(stop):
        signal.raise_signal(number)
        assert stop.is_set()
    assert signal.getsignal(number) is before


@pytest.mark.slow
def test_a_scheduler_that_stops_the_whole_process_group_gives_75_too(make, drive, uninterrupted, tmp_path: Path):
    driver = drive(tmp_path, own_ray=True, seconds=0.3)
    wait_until(lambda: spooled(tmp_path) >= 2)
    os.killpg(driver.pid, signal.SIGTERM)
    assert driver.wait(60) == 75
    assert make(tmp_path).exit_code == 0
    assert files_of(tmp_path) == uninterrupted


def test_a_finished_dataset_is_left_alone(make, tmp_path: Path):
    assert make(tmp_path, 4).exit_code == 0
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*-of-*.parquet")}
    assert make(tmp_path, 4, fail_all=True).exit_code == 0
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*-of-*.parquet")}


def test_a_relative_folder_is_the_drivers_whatever_rays_own_is(make, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # Ray was started in another one
    assert make("data", 2).exit_code == 0
    assert (tmp_path / "data" / "dataset.json").is_file()
