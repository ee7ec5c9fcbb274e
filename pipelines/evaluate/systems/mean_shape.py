"""The mean training shape, fitted to the visible points: a completion that recognises nothing.

Shapes: N voxels, G grid, R rings of voxels about the vertical axis, P visible points.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipelines.evaluate.records.shapes import Shape
from pipelines.evaluate.records.systems import SceneInput
from pipelines.evaluate.systems.baselines import in_mean_colour, visible_points
from scenegen.contract.objects import GRID, ObjectGeometry

_LEAST_METRES = 1e-3


@dataclass(frozen=True, slots=True)
class MeanShape:
    """The baseline. shape: centres of voxels in the canonical frame; a body of revolution about z, without a heading.

    Half of an object's depth is hidden, so both horizontal directions share one size. The shape

        stands on the lowest visible point and reaches to the highest;
        is as wide as the visible points, across the view or along it, whichever is more;
        is centred on them across the view, and begins at the nearest of them along it.

    Height and width have a scale each: one scale for both would miss one of them. The centres of the voxels score
    better than the surface around them (README).
    """

    shape: Shape

    @classmethod
    def from_geometries(cls, geometries: Iterable[ObjectGeometry]) -> MeanShape:
        """The mean of the voxels that the assets' surfaces touch. Raises ValueError without an asset."""
        centres_N3 = (np.argwhere(mean_voxels(geometry.voxels for geometry in geometries)) + 0.5) / GRID - 0.5
        return cls(Shape.of_points(centres_N3))

    def __call__(self, scene: SceneInput, instance_id: int) -> Shape:
        """The shape in the world. Raises NothingVisible."""
        points = visible_points(scene, instance_id)
        return in_mean_colour(self.shape.moved(self._place(points.vertices_V3, scene.T_world_cam)), points)

    def _place(self, points_P3: np.ndarray, T_world_cam: np.ndarray) -> np.ndarray:
        """(4, 4) canonical to world."""
        along_2 = points_P3[:, :2].mean(axis=0) - T_world_cam[:2, 3]
        along_2 = along_2 / max(float(np.linalg.norm(along_2)), 1e-12)
        across_2 = np.array([-along_2[1], along_2[0]])
        along_P, across_P = points_P3[:, :2] @ along_2, points_P3[:, :2] @ across_2
        width = max(float(np.ptp(along_P)), float(np.ptp(across_P)), _LEAST_METRES)
        middle_2 = (along_P.min() + width / 2) * along_2 + (across_P.min() + across_P.max()) / 2 * across_2
        low_3, high_3 = self.shape.vertices_V3.min(axis=0), self.shape.vertices_V3.max(axis=0)
        upright = max(float(np.ptp(points_P3[:, 2])), _LEAST_METRES) / (high_3[2] - low_3[2])
        flat = width / (high_3 - low_3)[:2].max()
        T = np.diag([flat, flat, upright, 1.0])
        T[:3, 3] = *middle_2, points_P3[:, 2].min() - upright * low_3[2]
        return T


def mean_voxels(voxels: Iterable[np.ndarray]) -> np.ndarray:
    """(G, G, G) bool: the voxels that are occupied most often, as many as an asset has on average.

    voxels: (N, 3) indices of each asset. Every asset counts in all headings equally: by the share that it occupies of
    each ring of voxels about the vertical axis, which is exact, unlike a number of rotated copies. Raises ValueError
    without an asset.
    """
    centre_G = np.arange(GRID) - (GRID - 1) / 2
    ring_GG = np.hypot(centre_G[:, None], centre_G).astype(int)
    in_ring_R = np.bincount(ring_GG.ravel())
    share_RG, counts = np.zeros((len(in_ring_R), GRID)), []
    for voxels_N3 in voxels:
        x_N, y_N, z_N = voxels_N3.astype(int).T
        np.add.at(share_RG, (ring_GG[x_N, y_N], z_N), 1)
        counts.append(len(voxels_N3))
    if not sum(counts):
        raise ValueError("the mean of no assets has no shape; give assets with voxels")
    share_G = (share_RG / in_ring_R[:, None])[ring_GG].ravel()
    chosen = np.argsort(-share_G, kind="stable")[: round(float(np.mean(counts)))]
    occupied = np.zeros(GRID**3, bool)
    occupied[chosen] = True
    return occupied.reshape(GRID, GRID, GRID)
