"""How many of 20 objects find a place, at what scale and cost: convex parts, hulls and boxes in one run.

    python tests/benchmarks/placement.py --scenes 100

CPU seconds of one process, without the first load of the assets, which is reported beside them.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import ConvexHull

from scenegen.assets.library import AssetLibrary, CanonicalMesh
from scenegen.config import AssetsConfig, PlacementConfig, RoomConfig
from scenegen.layout.collision import CollisionWorld, PosedParts
from scenegen.layout.placement import place_objects
from scenegen.layout.randomness import Stage, rng_for
from scenegen.layout.room import sample_room

RESULT = Path(__file__).parent / "results" / "placement.json"


class HullLibrary:
    """The same assets with one convex hull each."""

    def __init__(self, library: AssetLibrary) -> None:
        self._library = library
        self.records = library.records
        self._hulls: dict[str, tuple[np.ndarray, ...]] = {}

    def mesh(self, uid: str) -> CanonicalMesh:
        return self._library.mesh(uid)

    def convex_parts(self, uid: str) -> Sequence[np.ndarray]:
        if uid not in self._hulls:
            points = np.concatenate(self._library.convex_parts(uid))
            self._hulls[uid] = (points[ConvexHull(points).vertices],)
        return self._hulls[uid]


class BoxWorld:
    """Collision as in the official generator, but with tight boxes: those of the turned shape along the axes."""

    def __init__(self, clearance_m: float) -> None:
        self._clearance_m = clearance_m
        self._boxes: list[tuple[np.ndarray, np.ndarray]] = []

    def __enter__(self) -> "BoxWorld":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def place(self, body: PosedParts) -> None:
        self._boxes.append((body.low.min(axis=0), body.high.max(axis=0)))

    def fits(self, body: PosedParts) -> bool:
        low, high = body.low.min(axis=0) - self._clearance_m, body.high.max(axis=0) + self._clearance_m
        return not any((low < other_high).all() and (other_low < high).all() for other_low, other_high in self._boxes)


def measure(
    library: AssetLibrary | HullLibrary, world: Callable[[float], Any], config: PlacementConfig, scenes: int
) -> dict[str, float | dict[str, float]]:
    """Figures over `scenes` scenes of seed 0."""
    placed, attempts, seconds, scales = [], [], [], []
    for index in range(scenes):
        start = time.process_time()
        with world(config.clearance_m) as collision:
            room_rng, *rngs = (rng_for(0, index, stage) for stage in (Stage.ROOM, Stage.ASSETS, Stage.PLACEMENT))
            room = sample_room(RoomConfig(), (), room_rng)
            placement = place_objects(library, room, config, collision, *rngs)
        seconds.append(time.process_time() - start)
        placed.append(len(placement.objects))
        attempts.append(placement.attempts)
        scales += [o.scale for o in placement.objects]
    percentiles = np.percentile(scales, (10, 25, 50, 75, 90))
    return {
        "placed_of_20_mean": round(float(np.mean(placed)), 2),
        "placed_of_20_min": min(placed),
        "scale_mean": round(float(np.mean(scales)), 3),
        "scale_percentiles": dict(zip(("10", "25", "50", "75", "90"), percentiles.round(3).tolist(), strict=True)),
        "attempts_mean": round(float(np.mean(attempts)), 1),
        "cpu_s_mean": round(float(np.mean(seconds)), 4),
        "cpu_s_max": round(max(seconds), 4),
    }


def load_all(config: AssetsConfig) -> tuple[AssetLibrary, dict[str, float]]:
    """A library with everything loaded, and the CPU seconds of that first load, by kind."""
    library = AssetLibrary.open(config)
    start = time.process_time()
    faces = [len(library.mesh(uid).faces) for uid in library.records]
    middle = time.process_time()
    parts = [library.convex_parts(uid) for uid in library.records]
    return library, {
        "assets": len(parts),
        "mesh_ms_an_asset": round(1e3 * (middle - start) / len(parts), 2),
        "parts_ms_an_asset": round(1e3 * (time.process_time() - middle) / len(parts), 2),
        "faces_median": float(np.median(faces)),
        "parts_mean": round(float(np.mean([len(p) for p in parts])), 1),
        "part_vertices_mean": round(float(np.mean([len(v) for p in parts for v in p])), 1),
    }


def hardware() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{model}, one core"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--store", default="starter")
    parser.add_argument("--split", default="all")
    arguments = parser.parse_args()
    library, first_load = load_all(AssetsConfig(objects=(arguments.store,), split=arguments.split))
    result: dict[str, Any] = {
        "command": f"python tests/benchmarks/placement.py --scenes {arguments.scenes} --split {arguments.split}",
        "hardware": hardware(),
        "date": date.today().isoformat(),
        "first_load": first_load,
    }
    hulls = HullLibrary(library)
    for uid in library.records:
        hulls.convex_parts(uid)
    methods = {"parts": (library, CollisionWorld), "hulls": (hulls, CollisionWorld), "boxes": (library, BoxWorld)}
    rules = {
        "redraw": PlacementConfig(),
        "keep": PlacementConfig(redraw_scale=False),
        "keep_as_sampled": PlacementConfig(redraw_scale=False, largest_first=False),
    }
    for rule, config in rules.items():
        for name, (shapes, world) in methods.items():
            result[f"{rule}_{name}"] = measure(shapes, world, config, arguments.scenes)
            print(rule, name, json.dumps(result[f"{rule}_{name}"]), flush=True)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
