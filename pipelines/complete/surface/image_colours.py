"""The colours of a mesh from the image, for systems whose mesh decoder has learned none.

Visible parts get the colours of their pixels. Hidden parts get a mean of visible colours, over a wider area the further
they are away: a guess, and a fair one for objects of few materials. Lights and shadows of the image are included.

Shapes: V vertices, v some of them, P visible points.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.distance import cdist
from torch import Tensor

from pipelines.complete.results import ColouredMesh
from pipelines.complete.steps.observe import Observation
from pipelines.masks import EDGE_CONFIDENCE

MOST_POINTS = 2048
FALL_OFF = 3.0
"""The power of the distance in the weights. Above 2, the dimension of a surface, near points outweigh all others; the
closer it is to 2, the closer all colours are to one mean colour."""
_NEAREST = 1e-3  # of the edge of the cube: nearer points have no larger weight
_VERTICES_AT_ONCE = 4096


def coloured_by_image(mesh: ColouredMesh, T_world_grid: Tensor, seen: Observation) -> ColouredMesh:
    """The mesh with the colours of at most MOST_POINTS visible points, interpolated by inverse distance.

    Points on the outline of the mask, whose colours are mixed with those behind, are used only if there are no others.
    """
    T = T_world_grid.numpy()
    clear_P = seen.confidence_P > EDGE_CONFIDENCE
    used_P = np.flatnonzero((clear_P if bool(clear_P.any()) else clear_P | True).numpy())
    used_P = used_P[np.linspace(0, len(used_P) - 1, min(len(used_P), MOST_POINTS)).astype(int)]
    points_P3 = (seen.points_P3.numpy()[used_P] - T[:3, 3]) @ np.linalg.inv(T[:3, :3]).T
    colours_P3 = seen.colours_P3.numpy()[used_P].astype(np.float64)
    chunks = np.array_split(mesh.vertices_V3, -(-len(mesh.vertices_V3) // _VERTICES_AT_ONCE) or 1)
    colours_V3 = np.concatenate([_mixed(vertices_v3, points_P3, colours_P3) for vertices_v3 in chunks])
    return replace(mesh, colours_V3=np.rint(colours_V3).astype(np.uint8))


def _mixed(vertices_v3: np.ndarray, points_P3: np.ndarray, colours_P3: np.ndarray) -> np.ndarray:
    """(v, 3): inverse distance weighting (Shepard's interpolation)."""
    squared_vP = cdist(vertices_v3, points_P3, "sqeuclidean") + _NEAREST**2
    weight_vP = squared_vP ** (-FALL_OFF / 2)
    return (weight_vP @ colours_P3) / weight_vP.sum(1, keepdims=True)
