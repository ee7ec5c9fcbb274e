"""What the machinery costs a scene: box scenes through Ray, child process, checks, spool and shard.

Run: python tests/benchmarks/engine.py [--scenes 60]
Compares the worker's CPU-seconds a scene with those of making the same scenes in a bare loop, and gives what a run
costs the driver: once, and for each further scene. Ray's own daemons and the supervising tasks are not in it (nobody
waits for them). Writes results/engine.json. CPU-seconds, because wall time depends on the neighbours.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import psutil

from scenegen.config import CameraConfig, DatasetConfig, JobConfig, PlacementConfig
from scenegen.contract.storage import Root
from scenegen.jobs.assignment import Assignment
from scenegen.rendering.run import ScenesRun, render
from scenegen.scenes.factory import describe_dataset, open_tools, shard_meta
from scenegen.scenes.maker import make_scene
from scenegen.scenes.worker_job import WorkerJob
from scenegen.verify.views import verify_dataset

RESULTS = Path(__file__).parent / "results"


def box_scenes(count: int) -> DatasetConfig:
    camera = CameraConfig(num_views=2, resolution_px=64)
    placement = PlacementConfig(num_objects=(4, 8))
    return DatasetConfig(count, scenes_per_shard=20, renderer="boxes", camera=camera, placement=placement)


def cpu_seconds(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def in_a_loop(config: DatasetConfig) -> float:
    """CPU-seconds of the scenes alone."""
    tools = open_tools(WorkerJob("", 0, config, shard_meta(config), "cpu", 1))
    make_scene(tools, config, 0)
    before = time.process_time()
    for scene in range(config.num_scenes):
        make_scene(tools, config, scene)
    return time.process_time() - before


def whole_run(count: int, folder: str) -> None:
    """A run in a process of its own: its CPU-seconds and those of all its children go to stdout."""
    log = Path(folder) / "log.jsonl"
    started = time.monotonic()
    stored = describe_dataset(box_scenes(count))
    everything = Assignment(0, 1, "benchmark")
    render(ScenesRun(Root.open(f"{folder}/data"), stored, JobConfig(workers=1), everything, log))
    wall = time.monotonic() - started
    events = [json.loads(line) for line in log.read_text().splitlines()]
    made = [event for event in events if event["event"] == "made"]
    before = time.process_time()
    problems = [*verify_dataset(Root.open(f"{folder}/data"), stored.config, stored.meta)]
    print(
        json.dumps(
            {
                "wall_s": wall,
                "scenes_made": len(made),
                "scene_cpu_s_in_worker": sum(event["cpu_seconds"] for event in made),
                "first_to_last_scene_s": made[-1]["time"] - made[0]["time"],
                "verify_cpu_s": time.process_time() - before,
                "problems": len(problems),
                "driver_cpu_s": before,
            }
        )
    )


def measured_run(count: int) -> dict:
    """A whole run in a process of its own; `cpu_s` is the driver's CPU time with what it waited for (Ray's start)."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--scenes", str(count), "--whole-run", folder]
        before = cpu_seconds(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        used = cpu_seconds(resource.RUSAGE_CHILDREN) - before
    return {"cpu_s": used, **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--whole-run", metavar="FOLDER")
    options = parser.parse_args()
    if options.whole_run:
        whole_run(options.scenes, options.whole_run)
        return
    few, many = measured_run(options.scenes // 3), measured_run(options.scenes)
    more = options.scenes - options.scenes // 3
    in_run = (many["cpu_s"] - few["cpu_s"]) / more
    in_worker = (many["scene_cpu_s_in_worker"] - few["scene_cpu_s_in_worker"]) / more
    report = {
        "command": f"python tests/benchmarks/engine.py --scenes {options.scenes}",
        "hardware": f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.machine()}",
        "date": date.today().isoformat(),
        "bare_loop_cpu_s_a_scene": in_a_loop(box_scenes(options.scenes)) / options.scenes,
        "worker_cpu_s_a_scene": in_worker,
        "driver_cpu_s_a_further_scene": in_run,
        "driver_fixed_cpu_s_a_run": few["cpu_s"] - in_run * (options.scenes // 3),
        "few": few,
        "many": many,
    }
    (RESULTS / "engine.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
