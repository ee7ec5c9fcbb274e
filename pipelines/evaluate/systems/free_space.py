"""Free space: an instance cannot be in front of a surface that the image shows.

Shapes: H, W image, K poses, Q points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, minimum_filter

from pipelines.evaluate.records.systems import SceneInput

_NEAR = 0.01  # metres; nearer points count as at the camera or behind it
_TOLERANCE_PX = 1


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """The space that the image shows to be empty, for one instance.

    P_pixel_world: (3, 4) float32, world points to homogeneous pixels; the third coordinate is planar depth, metres.
    surface_HW: float32, depth up to which space is empty, the minimum of the neighbouring pixels; infinite where no
    depth is known, but minus infinite where none is known within the mask.
    metres_apart_HW: float32, sideways distance from the mask of a point at depth 1; infinite within the mask.
    """

    P_pixel_world: np.ndarray
    surface_HW: np.ndarray
    metres_apart_HW: np.ndarray

    @classmethod
    def of(cls, scene: SceneInput, instance_id: int) -> FreeSpace:
        """For one instance of a view; its mask must not be empty."""
        mask_HW = scene.mask(instance_id)
        known_HW = np.isfinite(scene.depth_HW) & (scene.depth_HW > 0)
        depth_HW = np.where(known_HW, scene.depth_HW, np.inf).astype(np.float32)
        surface_HW = minimum_filter(depth_HW, 2 * _TOLERANCE_PX + 1)  # outlines are only known to a pixel
        surface_HW[mask_HW & ~known_HW] = -np.inf
        apart_HW = (distance_transform_edt(~mask_HW) / scene.K_px[0, 0]).astype(np.float32)
        apart_HW[mask_HW] = np.inf
        P = np.asarray(scene.K_px, np.float64) @ np.linalg.inv(np.asarray(scene.T_world_cam, np.float64))[:3]
        return cls(P.astype(np.float32), surface_HW, apart_HW)

    def intrusion(self, points_KQ3: np.ndarray) -> np.ndarray:
        """(K,) how deep points are in empty space, metres, mean over Q.

        Each point counts with the shorter way out: backwards behind the surface that is seen there, or sideways into
        the mask. Points outside of the image cost nothing, since nothing is known there; points behind the camera can
        only move forwards.
        """
        pixel_KQ3 = points_KQ3.astype(np.float32) @ self.P_pixel_world[:, :3].T + self.P_pixel_world[:, 3]
        depth_KQ = pixel_KQ3[..., 2]
        before_KQ = depth_KQ > _NEAR
        divisor_KQ = np.where(before_KQ, depth_KQ, 1)
        height, width = self.surface_HW.shape
        column_KQ, row_KQ = (np.floor(pixel_KQ3[..., axis] / divisor_KQ) for axis in (0, 1))
        inside_KQ = before_KQ & (column_KQ >= 0) & (column_KQ < width) & (row_KQ >= 0) & (row_KQ < height)
        index_KQ = np.where(inside_KQ, row_KQ * width + column_KQ, 0).astype(np.int64)
        back_KQ = np.maximum(self.surface_HW.ravel()[index_KQ] - depth_KQ, 0)
        aside_KQ = self.metres_apart_HW.ravel()[index_KQ] * divisor_KQ
        wrong_KQ = np.where(inside_KQ, np.minimum(back_KQ, aside_KQ), np.where(before_KQ, 0, _NEAR - depth_KQ))
        return wrong_KQ.mean(axis=-1)
