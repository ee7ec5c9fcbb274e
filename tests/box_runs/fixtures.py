"""One Ray for all tests of a process, and drivers in processes of their own that can be killed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sharing import made_once

ROOT = Path(__file__).resolve().parents[2]

if TYPE_CHECKING:  # most tests need nothing of this
    from scenegen.config import JobConfig
    from scenegen.jobs.reporting import RunResult


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs Ray says so, to be left out of a quick round: -m "not ray".

    Files that use the Ray of their process come last: while it waits for work, it takes an eighth of a core.
    """
    for item in items:
        if {"ray_address", "machine"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("ray")
    shared = {item.path for item in items if "ray_address" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: item.path in shared)


@pytest.fixture
def calibrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where measurements of this machine are kept: never among those of whoever runs the tests."""
    cache = tmp_path.with_name(f"{tmp_path.name}-cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return cache / "scenegen"


@pytest.fixture(autouse=True)
def no_calibrations_of_others(request: pytest.FixtureRequest) -> None:
    """Whoever runs something over Ray may measure this machine."""
    if "ray_address" in request.fixturenames:
        request.getfixturevalue("calibrations")


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """Of the Ray of this process, which is started at the first test that needs it."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    quiet = {"logging_level": "ERROR", "log_to_driver": False}
    small = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 100 << 20}
    waiting = {"idle_worker_killing_time_threshold_ms": 600_000}  # the tasks of the next test need no new process
    ray.init(address="local", _system_config=waiting, **small, **quiet)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture
def make(ray_address: str) -> "Callable[..., RunResult]":
    """make(folder, num_scenes=8, job=PLAIN, **troubles): render with this process as the driver."""
    from scenegen.contract.storage import Root
    from tests.box_runs.harness import PLAIN, render, stored_config, worker_command

    def run(folder: Path | str, num_scenes: int = 8, job: "JobConfig" = PLAIN, **troubles) -> "RunResult":
        return render(Root.open(folder), stored_config(num_scenes), job, command=worker_command(**troubles))

    return run


@pytest.fixture
def drive(ray_address: str) -> Iterator[Callable[..., subprocess.Popen]]:
    """drive(folder, num_scenes=8, own_ray=False, environment={}, **troubles): a driver that can be killed."""
    started: list[subprocess.Popen] = []

    def start(folder: Path, num_scenes: int = 8, own_ray: bool = False, environment: dict | None = None, **troubles):
        driver = [sys.executable, "-m", "tests.box_runs.driver"]
        process = subprocess.Popen(
            [
                *driver,
                folder,
                str(num_scenes),
                "" if own_ray else ray_address,
                json.dumps({"of": str(folder), **troubles}),
            ],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def uninterrupted_run(ray_address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of eight scenes in two shards as one undisturbed run makes it. Do not write into it."""
    from scenegen.contract.storage import Root
    from tests.box_runs.harness import PLAIN, render, stored_config, worker_command

    def run(folder: Path) -> None:
        assert render(Root.open(folder), stored_config(), PLAIN, command=worker_command()).exit_code == 0

    return made_once(tmp_path_factory, "uninterrupted", run)


@pytest.fixture(scope="session")
def uninterrupted(uninterrupted_run: Path) -> dict[str, bytes]:
    """The files of that run."""
    from tests.box_runs.harness import files_of

    return files_of(uninterrupted_run)
