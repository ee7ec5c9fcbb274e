"""The colours of a mesh from the image: for systems whose mesh decoder has learned none.

What is seen has the colours of its pixels. What is hidden has those of the nearest visible points, which is a guess,
and a fair one for objects of few materials. Lights and shadows of the image come with it.
Shapes: V vertices, P visible points, k neighbours.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree
from torch import Tensor

from pipelines.complete.observe import Observation
from pipelines.complete.records import ColouredMesh
from pipelines.masks import EDGE_CONFIDENCE

NEIGHBOURS = 4
_OWN_SHARE = 1e-3  # of the cube's edge: nearer points do not weigh more


def painted(mesh: ColouredMesh, T_world_grid: Tensor, seen: Observation) -> ColouredMesh:
    """The mesh in the colours of the visible points nearest to each vertex, weighted by inverse squared distance.

    Points on the outline of the mask, which mix in what lies behind, count only where there are no others.
    """
    T = T_world_grid.numpy()
    clear_P = seen.confidence_P > EDGE_CONFIDENCE
    used_P = clear_P if bool(clear_P.any()) else clear_P | True
    points_P3 = (seen.points_P3[used_P].numpy() - T[:3, 3]) @ np.linalg.inv(T[:3, :3]).T
    count = min(NEIGHBOURS, len(points_P3))
    distance_Vk, point_Vk = cKDTree(points_P3).query(mesh.vertices_V3, k=count)
    distance_Vk, point_Vk = distance_Vk.reshape(-1, count), point_Vk.reshape(-1, count)
    weight_Vk = 1 / (distance_Vk**2 + _OWN_SHARE**2)
    colours_Vk3 = seen.colours_P3[used_P].numpy()[point_Vk].astype(np.float64)
    mean_V3 = (weight_Vk[..., None] * colours_Vk3).sum(1) / weight_Vk.sum(1, keepdims=True)
    return replace(mesh, colours_V3=np.rint(mean_V3).astype(np.uint8))
