"""The canonical frame: centred on the bounding box of the vertices, longest side 1. Pure arrays.

V: vertices. F: faces.
"""

from dataclasses import dataclass

import numpy as np

# Triangles whose doubled area (canonical units squared) is smaller have no reliable normal, which renderers and physics
# need.
MIN_DOUBLE_AREA = 1e-10
# Canonical vertices lie on this grid, so that 16-bit integers hold them exactly.
GRID = 32767
# The longest side in grid steps is even, so that both ends of it lie on the grid and within +-0.5.
LONGEST = 2 * ((GRID - 1) // 2) / GRID
# The largest error of a vertex, in canonical units.
POSE_TOLERANCE = 1e-4


class ShapeError(ValueError):
    """The triangles are no solid or surface that can be placed; the message says why."""


@dataclass(frozen=True, slots=True)
class Normalisation:
    """canonical = (source - centre) * scale, on the grid (within 1.6e-5 of the exact value)."""

    centre: np.ndarray
    scale: float

    def apply(self, points: np.ndarray) -> np.ndarray:
        return (np.rint((points - self.centre) * self.scale * GRID) / GRID).astype(np.float32)


def normalisation(used_vertices_V3: np.ndarray) -> Normalisation:
    """The transform that brings (V, 3) vertices into the canonical frame. Pass only vertices that a face uses.

    Raises ShapeError for no vertices, non-finite ones, or an extent of zero.
    """
    if not len(used_vertices_V3):
        raise ShapeError("zero faces")
    if not np.isfinite(used_vertices_V3).all():
        raise ShapeError("NaN or infinite vertices")
    low, high = used_vertices_V3.min(axis=0).astype(np.float64), used_vertices_V3.max(axis=0).astype(np.float64)
    longest = float((high - low).max())
    if longest == 0:  # any other extent is usable, whatever the unit
        raise ShapeError("all vertices in one point")
    return Normalisation((low + high) / 2, LONGEST / longest)


def usable_faces(vertices_V3: np.ndarray, faces_F3: np.ndarray) -> np.ndarray:
    """(F,) bool: faces with an area, in canonical units."""
    a, b, c = (vertices_V3[faces_F3[:, i]].astype(np.float64) for i in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) > MIN_DOUBLE_AREA


def first_of_equal(faces_F3: np.ndarray) -> np.ndarray:
    """Indices, in order, of the faces without those that repeat the vertices of an earlier one (either way round).

    Double faces compete for the same pixels, and Blender's exporter drops them without a message.
    """
    _, first = np.unique(np.sort(faces_F3, axis=1), axis=0, return_index=True)
    return np.sort(first)


def welded(corners_F33: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangle corners to (V, 3) float32 vertices, each position once, and (F, 3) int32 faces in the same order."""
    flat = np.ascontiguousarray(corners_F33.reshape(-1, 3), dtype=np.float32) + np.float32(0)  # -0 becomes 0
    keys = flat.view("V12")[:, 0]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)  # in order of appearance, so that equal files give equal meshes
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return flat[first[order]], rank[inverse].reshape(-1, 3).astype(np.int32)
