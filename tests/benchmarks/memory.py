"""Does memory stay flat? 200 small scenes in one run; the resident memory of worker and driver, scene by scene.

Run: python tests/benchmarks/memory.py [--scenes 200] [--renderer blender|boxes]
Writes results/memory_<renderer>.json and .png. One worker, recycling off, so that the curve is Blender's own; a chunk
of work is half of the run here, so that the process is replaced once.
"""

import argparse
import json
import os
import platform
import tempfile
import threading
import time
from datetime import date
from pathlib import Path

import numpy as np
import psutil
from PIL import Image, ImageDraw

from scenegen.config import CameraConfig, DatasetConfig, JobConfig, PlacementConfig, RenderConfig
from scenegen.contract.storage import Root
from scenegen.jobs.assignment import Assignment
from scenegen.rendering.run import ScenesRun, render
from scenegen.scenes.factory import describe_dataset

RESULTS = Path(__file__).parent / "results"
MB = 1e6
SIZE = (900, 420)
MARGIN = 60


def small_scenes(count: int, renderer: str) -> DatasetConfig:
    return DatasetConfig(
        num_scenes=count,
        scenes_per_shard=count,
        renderer=renderer,
        camera=CameraConfig(num_views=1, resolution_px=64),
        placement=PlacementConfig(num_objects=(4, 8)),
        render=RenderConfig(samples=4),
    )


class DriverMemory(threading.Thread):
    """The driver's resident memory every two seconds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes: list[int] = []
        self.start()

    def run(self) -> None:
        while True:
            self.bytes.append(psutil.Process().memory_info().rss)
            time.sleep(2.0)


def measure(count: int, renderer: str) -> dict:
    driver = DriverMemory()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        stored = describe_dataset(small_scenes(count, renderer))
        job = JobConfig(workers=1, recycle_scenes=count, recycle_rss_gb=100.0)
        everything = Assignment(0, 1, "benchmark")
        result = render(ScenesRun(Root.open(f"{folder}/data"), stored, job, everything, log))
        events = [json.loads(line) for line in log.read_text().splitlines()]
    made = [event for event in events if event["event"] == "made"]
    return {
        "renderer": stored.meta.renderer,
        "exit_code": result.exit_code,
        "failed": [event for event in events if event["event"] == "failed"],
        "wall_s": time.monotonic() - started,
        "worker_cpu_s_a_scene": float(np.mean([event["cpu_seconds"] for event in made])),
        "worker_rss_mb": [event["rss_bytes"] / MB for event in made],
        "driver_rss_mb": [value / MB for value in driver.bytes],
    }


def slope_mb_a_scene(rss_mb: list[float]) -> float:
    """Least-squares growth over the second half, when caches are filled."""
    half = rss_mb[len(rss_mb) // 2 :]
    return float(np.polyfit(np.arange(len(half)), half, 1)[0])


def draw(curves: dict[str, list[float]], path: Path, title: str) -> None:
    image = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(image)
    top = max(max(curve) for curve in curves.values()) * 1.1
    left, bottom, right = MARGIN, SIZE[1] - MARGIN, SIZE[0] - 20
    pen.rectangle((left, 20, right, bottom), outline="black")
    pen.text((left, 4), title, fill="black")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = bottom - share * (bottom - 20)
        pen.text((8, y - 6), f"{share * top:.0f} MB", fill="black")
        pen.line((left, y, right, y), fill="lightgrey")
    for colour, (name, curve) in zip(("crimson", "navy"), curves.items(), strict=False):
        x = np.linspace(left, right, len(curve))
        y = bottom - np.array(curve) / top * (bottom - 20)
        pen.line([*zip(x, y, strict=True)], fill=colour, width=2)
        pen.text((left + (10 if colour == "crimson" else 300), bottom + 20), name, fill=colour)
    image.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--renderer", default="blender")
    options = parser.parse_args()
    found = measure(options.scenes, options.renderer)
    worker = found["worker_rss_mb"]
    halves = [worker[: len(worker) // 2], worker[len(worker) // 2 :]]
    report = {
        "command": f"python tests/benchmarks/memory.py --scenes {options.scenes} --renderer {options.renderer}",
        "hardware": f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.machine()}",
        "date": date.today().isoformat(),
        "growth_mb_a_scene_by_process": [slope_mb_a_scene(half) for half in halves],
        "worker_peak_mb": max(worker),
        "driver_first_last_peak_mb": [
            found["driver_rss_mb"][5],
            found["driver_rss_mb"][-1],
            max(found["driver_rss_mb"]),
        ],
        **found,
    }
    name = RESULTS / f"memory_{options.renderer}"
    name.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    curves = {"worker, by scene": worker, "driver, over the run": found["driver_rss_mb"]}
    draw(curves, name.with_suffix(".png"), f"resident memory over {options.scenes} scenes, {found['renderer']}")
    print(json.dumps({key: value for key, value in report.items() if not isinstance(value, list)}, indent=1))


if __name__ == "__main__":
    main()
