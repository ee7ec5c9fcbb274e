"""Points on shapes, seeded and uniform over the area of a surface.

Shapes: V vertices, F faces, N points.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from pipelines.evaluate.records.shapes import Shape

OFFICIAL_POINTS = 20_480
TRUTH, PREDICTION = 0, 1
"""Random streams: truth and prediction get independent points, so that a copy of the truth does not score perfectly."""


class EmptyShape(ValueError):
    """Nothing can be sampled: there are no points, there is no area, or coordinates are not finite."""


@dataclass(frozen=True, slots=True)
class Samples:
    """points_N3: float64. normals_N3: unit, of the faces; None for a shape that is only points."""

    points_N3: np.ndarray
    normals_N3: np.ndarray | None


def sample_shape(shape: Shape, count: int, rng: np.random.Generator) -> Samples:
    """`count` points, uniform over the surface; of a set of points, at most `count` of them.

    Raises EmptyShape.
    """
    vertices_V3 = np.asarray(shape.vertices_V3, np.float64)
    if not len(vertices_V3) or not np.isfinite(vertices_V3).all():
        raise EmptyShape("no vertices" if not len(vertices_V3) else "coordinates that are not finite")
    if not shape.is_surface:
        if len(vertices_V3) > count:
            vertices_V3 = vertices_V3[rng.choice(len(vertices_V3), count, replace=False)]
        return Samples(vertices_V3, None)
    corners_F33 = vertices_V3[shape.faces_F3]
    cross_F3 = np.cross(corners_F33[:, 1] - corners_F33[:, 0], corners_F33[:, 2] - corners_F33[:, 0])
    double_area_F = np.linalg.norm(cross_F3, axis=1)
    total = np.cumsum(double_area_F)
    if not total[-1] > 0:
        raise EmptyShape("a surface without area")
    chosen_N = np.searchsorted(total, rng.random(count) * total[-1], side="right").clip(max=len(total) - 1)
    # Folding the unit square along its diagonal keeps points uniform over the triangle.
    u_N2 = rng.random((count, 2))
    beyond = u_N2.sum(axis=1) > 1
    u_N2[beyond] = 1 - u_N2[beyond]
    origin_N3, edge_a_N3, edge_b_N3 = (
        corners_F33[chosen_N, 0],
        corners_F33[chosen_N, 1] - corners_F33[chosen_N, 0],
        corners_F33[chosen_N, 2] - corners_F33[chosen_N, 0],
    )
    points_N3 = origin_N3 + u_N2[:, :1] * edge_a_N3 + u_N2[:, 1:] * edge_b_N3
    return Samples(points_N3, cross_F3[chosen_N] / double_area_F[chosen_N, None])


def sample_rng(seed: int, key: str, instance_id: int, stream: int) -> np.random.Generator:
    """The generator for one shape of one view: the same in every run and for every system."""
    return np.random.default_rng(
        np.random.SeedSequence(seed, spawn_key=(zlib.crc32(key.encode()), instance_id, stream))
    )
