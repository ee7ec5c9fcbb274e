"""What judging one object costs, against the obvious loops: same points, same figures, one run.

python tests/benchmarks/evaluate.py [--repeats 3] [--out tests/benchmarks/results/evaluate.json]

CPU seconds of one thread (best of the repeats, the ways taking turns). A ratio above 1 says how many times as fast as
that way ours is. The prediction is the half of a torus knot that one camera sees; the truth is all of it.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from pipelines.evaluate.metrics.bootstrap import mean_with_interval  # noqa: E402
from pipelines.evaluate.metrics.distances import neighbours  # noqa: E402
from pipelines.evaluate.metrics.overlap import voxel_iou  # noqa: E402
from pipelines.evaluate.metrics.sampling import OFFICIAL_POINTS, sample_shape  # noqa: E402
from pipelines.evaluate.records.shapes import Shape  # noqa: E402

Way = Callable[[], np.ndarray]


def knot(rings: int = 400, sides: int = 40) -> Shape:
    """A (2, 3) torus knot of 32,000 faces within [-0.95, 0.95]^3."""
    t, s = np.meshgrid(np.linspace(0, 2 * np.pi, rings, False), np.linspace(0, 2 * np.pi, sides, False), indexing="ij")
    radius = 0.5 + 0.2 * np.cos(3 * t) + 0.12 * np.cos(s)
    vertices = np.stack([radius * np.cos(2 * t), radius * np.sin(2 * t), 0.2 * np.sin(3 * t) + 0.12 * np.sin(s)], -1)
    i, j = np.indices((rings, sides))
    a, b = i * sides + j, (i + 1) % rings * sides + j
    c, d = i * sides + (j + 1) % sides, (i + 1) % rings * sides + (j + 1) % sides
    faces = np.concatenate([np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)])
    return Shape(vertices.reshape(-1, 3), faces)


def loop_over_points(truth: np.ndarray, pred: np.ndarray) -> np.ndarray:
    return np.array([np.sqrt(((pred - point) ** 2).sum(axis=1).min()) for point in truth])


def all_pairs(truth: np.ndarray, pred: np.ndarray) -> np.ndarray:
    pieces = np.array_split(truth, len(truth) // 256)
    return np.concatenate([np.sqrt(((piece[:, None] - pred[None]) ** 2).sum(-1).min(1)) for piece in pieces])


def voxels_by_sets(truth: np.ndarray, pred: np.ndarray, voxel: float) -> np.ndarray:
    corner = np.minimum(truth.min(0), pred.min(0)).astype(np.float32)
    sets = []
    for cloud in (truth, pred):
        cells = set()
        for point in cloud.astype(np.float32):
            cells.add(tuple(np.floor((point - corner) / np.float32(voxel)).astype(int).clip(0, 63).tolist()))
        sets.append(cells)
    return np.array(len(sets[0] & sets[1]) / (len(sets[0] | sets[1]) + 1e-8))


def sample_in_a_loop(shape: Shape, count: int, rng: np.random.Generator) -> np.ndarray:
    corners = shape.vertices_V3[shape.faces_F3]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    share, points = areas / areas.sum(), []
    for _ in range(count):
        a, b, c = corners[rng.choice(len(share), p=share)]
        u, v = rng.random(2)
        u, v = (1 - u, 1 - v) if u + v > 1 else (u, v)
        points.append(a + u * (b - a) + v * (c - a))
    return np.array(points)


def bootstrap_loop(values: list[float], groups: list[str], rng: np.random.Generator) -> np.ndarray:
    names = sorted(set(groups))
    means = []
    for _ in range(2000):
        drawn = [names[i] for i in rng.integers(0, len(names), len(names))]
        means.append(
            np.mean([value for name in drawn for value, group in zip(values, groups, strict=True) if group == name])
        )
    return np.quantile(means, [0.025, 0.975])


def timed(ways: dict[str, Way], repeats: int, tolerance: float | None) -> dict[str, float]:
    """CPU seconds a way and ratios to the first; all must agree, unless they draw at random."""
    best, results = dict.fromkeys(ways, float("inf")), {}
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.process_time()
            results[name] = way()
            best[name] = min(best[name], time.process_time() - start)
    first, *others = ways
    for name in others if tolerance is not None else ():
        np.testing.assert_allclose(results[name], results[first], rtol=tolerance, err_msg=name)
    ratios = {f"ratio to {name}": round(best[name] / best[first], 1) for name in others}
    return {name: round(seconds, 5) for name, seconds in best.items()} | ratios


def measure(repeats: int) -> dict[str, dict[str, float]]:
    rng, shape = np.random.default_rng(0), knot()
    truth = sample_shape(shape, OFFICIAL_POINTS, rng).points_N3
    pred = truth[truth @ np.array([0.6, 0.0, 0.8]) > 0.05] + rng.normal(0, 0.003, 3)
    values, groups = rng.random(500).tolist(), [str(i // 5) for i in range(500)]
    both = np.concatenate

    def one_tree(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return cKDTree(other).query(one)[0]

    def ours() -> np.ndarray:
        found = neighbours(truth, pred)
        return both([found.to_pred_N, found.to_truth_M])

    return {
        f"nearest neighbours both ways, {len(truth)} and {len(pred)} points": timed(
            {
                "ours": ours,
                "k-d tree with scipy's defaults": lambda: both([one_tree(truth, pred), one_tree(pred, truth)]),
                "all pairs in pieces": lambda: both([all_pairs(truth, pred), all_pairs(pred, truth)]),
                "loop over points": lambda: both([loop_over_points(truth, pred), loop_over_points(pred, truth)]),
            },
            repeats,
            1e-9,
        ),
        f"{OFFICIAL_POINTS} points on {len(shape.faces_F3)} faces": timed(
            {
                "ours": lambda: sample_shape(shape, OFFICIAL_POINTS, np.random.default_rng(1)).points_N3,
                "loop over points": lambda: sample_in_a_loop(shape, OFFICIAL_POINTS, np.random.default_rng(1)),
            },
            repeats,
            None,
        ),
        "voxel IoU": timed(
            {
                "ours": lambda: np.array(voxel_iou(truth, pred, 0.1)),
                "sets of cells": lambda: voxels_by_sets(truth, pred, 0.1),
            },
            repeats,
            1e-6,
        ),
        "interval of 500 objects in 100 scenes, 2000 resamples": timed(
            {
                "ours": lambda: _interval(values, groups),
                "loop over resamples": lambda: bootstrap_loop(values, groups, np.random.default_rng(2)),
            },
            1,
            0.05,
        ),
    }


def _interval(values: list[float], groups: list[str]) -> np.ndarray:
    found = mean_with_interval(values, groups, np.random.default_rng(2))
    assert found is not None
    return np.array([found.low, found.high])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "evaluate.json")
    arguments = parser.parse_args()
    result = {
        "command": f"OMP_NUM_THREADS=1 python tests/benchmarks/evaluate.py --repeats {arguments.repeats}",
        "hardware": f"{platform.machine()}, one CPU thread, shared machine",
        "date": date.today().isoformat(),
        "unit": "CPU seconds; ratios say how many times as fast ours is",
        **measure(arguments.repeats),
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
