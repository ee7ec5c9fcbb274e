"""A shape: a surface or a set of points.

Shapes: V vertices, F faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, slots=True)
class Shape:
    """A triangle mesh or, without faces, a set of points.

    vertices_V3: float. faces_F3: int vertex indices, (0, 3) for points. colors_V3: uint8 sRGB, or None.
    """

    vertices_V3: np.ndarray
    faces_F3: np.ndarray
    colors_V3: np.ndarray | None = None

    @classmethod
    def of_points(cls, points_V3: np.ndarray, colors_V3: np.ndarray | None = None) -> Shape:
        return cls(points_V3, np.zeros((0, 3), np.int64), colors_V3)

    @property
    def is_surface(self) -> bool:
        return len(self.faces_F3) > 0

    def moved(self, T: np.ndarray) -> Shape:
        """The shape in another frame. T: (4, 4), applied to column vectors."""
        vertices_V3 = self.vertices_V3.astype(np.float64) @ T[:3, :3].T + T[:3, 3]
        return replace(self, vertices_V3=vertices_V3)


def merged(parts: Sequence[Shape]) -> Shape:
    """One shape made of several (at least one); it has colours only if all of them have."""
    offsets = np.cumsum([0, *(len(part.vertices_V3) for part in parts[:-1])])
    faces = [part.faces_F3 + offset for part, offset in zip(parts, offsets, strict=True)]
    colors = [part.colors_V3 for part in parts if part.colors_V3 is not None]
    return Shape(
        np.concatenate([part.vertices_V3 for part in parts]),
        np.concatenate(faces),
        np.concatenate(colors) if len(colors) == len(parts) else None,
    )
