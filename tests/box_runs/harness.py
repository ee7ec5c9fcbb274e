"""Small datasets of boxes, and what tests look at."""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil

from scenegen.config import CameraConfig, DatasetConfig, JobConfig, PlacementConfig
from scenegen.contract.schema import ShardMeta
from scenegen.contract.storage import Root
from scenegen.jobs.assignment import resolve_assignment
from scenegen.jobs.reporting import RunResult
from scenegen.rendering import run as rendering
from scenegen.shards.config_file import StoredConfig

PLAIN = JobConfig(workers=1, start_pause_s=0.05)  # every worker is a process more to start
HERE = Path(__file__).parent
SMALL = DatasetConfig(
    num_scenes=8,
    scenes_per_shard=4,
    renderer="boxes",
    camera=CameraConfig(num_views=2, resolution_px=32),
    placement=PlacementConfig(num_objects=(4, 5)),
)


def stored_config(num_scenes: int = 8, **changes) -> StoredConfig:
    config = replace(SMALL, num_scenes=num_scenes, **changes)
    return StoredConfig(config, ShardMeta(config.digest, config.seed, "test", "boxes", "none"), "")


def worker_command(**troubles) -> tuple[str, ...]:
    return (sys.executable, str(HERE / "worker.py"), json.dumps(troubles))


def render(root: Root, stored: StoredConfig, job: JobConfig = PLAIN, **more) -> RunResult:
    """Make the share of a dataset that the environment gives to this process."""
    assignment = resolve_assignment("auto", os.environ)
    return rendering.render(rendering.ScenesRun(root, stored, job, assignment, **more))


def files_of(folder: Path) -> dict[str, bytes]:
    """Everything that readers of a dataset see."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def children_at_work(folder: Path) -> list[psutil.Process]:
    """The scene workers of the drivers of this folder, wherever Ray started them."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or ()
        if any(part == str(HERE / "worker.py") for part in command) and str(folder) in command[-1]:
            found.append(process)
    return found


def spooled(folder: Path) -> int:
    return len([*folder.glob("_spool/*/scene-*.parquet")])
