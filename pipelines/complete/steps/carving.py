"""Voxels of a completion that are wrong by what the image shows: it sees something else through them, or they are
crumbs that float beside the object.

An object is completed in place, so no part of it can stand in front of a surface that is seen. Neither the paper of
3D-Fixer nor its release makes use of that; a network that is unsure of an outline is then wrong where the image is not.

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
"""Of the largest piece's voxels; a fiftieth and a tenth measure alike."""
_OUTLINE_PX = 1  # outlines are known to a pixel, not better
_NEAR = 1e-6


@dataclass(frozen=True)
class SeenSurface:
    """What an image sees in every direction.

    P_pixel_world: (3, 4) float64, world points to homogeneous pixels; the third coordinate is planar depth.
    depth_HW: float32, the least of the neighbouring pixels; 0 where one of them is unknown: nothing is in front of it.
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
        """Without those voxels (V, 3) of a cube in the world that stand in front of what is seen, by their own edge.

        Outside of the image nothing is known to be empty. If all of them do, they all stay: then it is the depth that
        is wrong.
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
    """Without pieces (26 neighbours) of fewer than FLOATER_SHARE of the largest piece's voxels, unless voxels of theirs
    are clearly seen: those with the full confidence of `seen`, in the same cube."""
    index = voxels_V3.long().unbind(1)
    occupied_RRR = np.zeros((RESOLUTION,) * 3, bool)
    occupied_RRR[index] = True
    piece_RRR, _ = label(occupied_RRR, np.ones((3, 3, 3)))
    size = np.bincount(piece_RRR.ravel())
    size[0] = 0
    kept = size >= FLOATER_SHARE * size.max()
    kept[piece_RRR[seen.index_V3[seen.confidence_V >= 1].unbind(1)]] = True
    return voxels_V3[torch.from_numpy(kept[piece_RRR[index]])]
