"""Free-space carving: removes voxels that stand in front of a surface that the image sees; and floaters.

An object is completed in place, so no part of it can hide a surface that is seen. Neither the paper of 3D-Fixer nor its
release uses this. A network that is unsure of an outline makes mistakes that the image can correct.

Shapes: H W image, V voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import label, minimum_filter
from torch import Tensor

from pipelines.complete.view import SceneView
from pipelines.frames import Cube
from pipelines.voxelise import RESOLUTION, VoxelGrid, voxel_centres

FLOATER_SHARE = 0.05
"""Of the voxels of the largest component; a fiftieth and a tenth give the same scores."""
_OUTLINE_PX = 1  # how exactly outlines are known
_NEAR = 1e-6


@dataclass(frozen=True)
class SeenSurface:
    """The surface that an image sees.

    P_pixel_world: (3, 4) float64, from world points to homogeneous pixels; the third coordinate is planar depth.
    depth_HW: float32, the smallest depth around each pixel. It is 0 where one of these is unknown, so that no voxel is
        in front of it.
    """

    P_pixel_world: Tensor
    depth_HW: Tensor

    @classmethod
    def of(cls, view: SceneView) -> SeenSurface:
        depth_HW = np.where(np.isfinite(view.depth_HW) & (view.depth_HW > 0), view.depth_HW, 0).astype(np.float32)
        nearest_HW = minimum_filter(depth_HW, 2 * _OUTLINE_PX + 1, mode="nearest")
        P = np.asarray(view.camera.K_px, np.float64) @ np.linalg.inv(view.camera.T_world_cam)[:3]
        return cls(torch.from_numpy(P), torch.from_numpy(nearest_HW))

    def carved(self, voxels_V3: Tensor, cube: Cube) -> Tensor:
        """The voxels (V, 3) of a cube in the world without those that are nearer than the surface by more than an edge.

        Outside the image no voxel is known to be empty. If all voxels are nearer, all stay, because then the depth must
        be wrong.
        """
        centres_V3 = cube.to_outer(voxel_centres(voxels_V3).double())
        pixel_V3 = centres_V3 @ self.P_pixel_world[:, :3].T + self.P_pixel_world[:, 3]
        depth_V = pixel_V3[:, 2]
        height, width = self.depth_HW.shape
        column_V, row_V = pixel_V3[:, :2].div(depth_V.clamp_min(_NEAR)[:, None]).floor().unbind(1)
        inside_V = (depth_V > _NEAR) & (column_V >= 0) & (column_V < width) & (row_V >= 0) & (row_V < height)
        rows_V, columns_V = (torch.where(inside_V, axis_V, 0).long() for axis_V in (row_V, column_V))
        seen_V = self.depth_HW[rows_V, columns_V]
        kept_V = ~inside_V | (depth_V >= seen_V - cube.side / RESOLUTION)
        return voxels_V3[kept_V] if bool(kept_V.any()) else voxels_V3


def without_floaters(voxels_V3: Tensor, seen: VoxelGrid) -> Tensor:
    """The voxels without floaters: small connected components (26 neighbours) that the image does not clearly show.

    Small means fewer voxels than FLOATER_SHARE of the largest component. A component is clearly shown if one of its
    voxels has full confidence in `seen`, the visible points in the same cube.
    """
    index = voxels_V3.long().unbind(1)
    occupied_RRR = np.zeros((RESOLUTION,) * 3, bool)
    occupied_RRR[index] = True
    component_RRR, _ = label(occupied_RRR, np.ones((3, 3, 3)))
    size = np.bincount(component_RRR.ravel())
    size[0] = 0
    kept = size >= FLOATER_SHARE * size.max()
    kept[component_RRR[seen.index_V3[seen.confidence_V >= 1].unbind(1)]] = True
    return voxels_V3[torch.from_numpy(kept[component_RRR[index]])]
