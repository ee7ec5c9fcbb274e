"""One Ray for the session, and drivers in processes of their own that can be killed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # test folders are no packages; this one shares its harness

from jobs_harness import HERE, PLAIN, files_of, render, stored_config, worker_command

from scenegen.config import JobConfig
from scenegen.contract.storage import Root
from scenegen.jobs.reporting import RunResult


@pytest.fixture(autouse=True)
def calibrations(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where measurements of this machine are kept: never among those of whoever runs the tests."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return cache / "scenegen"


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    quiet = {"logging_level": "ERROR", "log_to_driver": False}
    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=100 << 20, **quiet)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture
def make(ray_address: str) -> Callable[..., RunResult]:
    """make(folder, num_scenes=8, job=JobConfig(), **troubles): render with this process as the driver."""

    def run(folder: Path | str, num_scenes: int = 8, job: JobConfig = PLAIN, **troubles) -> RunResult:
        return render(Root.open(folder), stored_config(num_scenes), job, command=worker_command(**troubles))

    return run


@pytest.fixture
def drive(ray_address: str) -> Iterator[Callable[..., subprocess.Popen]]:
    """drive(folder, num_scenes=8, own_ray=False, environment={}, **troubles): a driver that can be killed."""
    started: list[subprocess.Popen] = []

    def start(folder: Path, num_scenes: int = 8, own_ray: bool = False, environment: dict | None = None, **troubles):
        command = [sys.executable, HERE / "drive.py", folder, str(num_scenes), "" if own_ray else ray_address]
        process = subprocess.Popen(
            [*command, json.dumps(troubles)],
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
def uninterrupted(ray_address: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the eight scenes as one undisturbed run makes them."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    result = render(Root.open(folder), stored_config(), PLAIN, command=worker_command())
    assert result.exit_code == 0
    return files_of(folder)
