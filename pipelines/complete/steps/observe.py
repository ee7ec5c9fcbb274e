"""Observe: mask, depth and camera → what is known of one object: its visible points, coarse cube and crop.

Shapes: H W image, h w window of a mask, P points, S image edge of the encoders.
Source: 3D-Fixer supplement section 1. As in training, points on the outline of a mask have half the confidence, and
those of them that lie outside the bounding box of the others are dropped, because their depth is that of another
surface. If an object is so thin that all of its pixels are outline (a pole, a wire), they all count as inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.compat import ReferenceCompat
from pipelines.cameras import opengl_to_opencv, pixel_rays_opengl
from pipelines.complete.view import Frame, SceneView
from pipelines.frames import COARSE_MARGIN, Cube, coarse_cube
from pipelines.images import instance_crop
from pipelines.masks import EDGE_CONFIDENCE, interior
from pipelines.voxelise import VoxelGrid, voxelise

VISIBLE_HALF = 0.5 / COARSE_MARGIN + 1e-4  # half the edge of the clearly visible part of the coarse cube, and rounding


class NotEnoughSeen(ValueError):
    """The input does not show enough of an object; the message says what is missing."""


@dataclass(frozen=True)
class Observation:
    """One object as the image shows it.

    points_P3: float64 visible points in the world. confidence_P: 1 inside the mask, 0.5 on its outline.
    colours_P3: uint8 sRGB of their pixels.
    coarse: its coarse cube in the world.
    crop_4SS: float in [0, 1], the image around it and its mask. scene_mask_SS: float, its mask in the whole image.
    """

    instance_id: int
    points_P3: Tensor
    confidence_P: Tensor
    colours_P3: Tensor
    coarse: Cube
    crop_4SS: Tensor
    scene_mask_SS: Tensor
    cut_by_border: bool

    def coarse_voxels(self) -> VoxelGrid:
        """The visible points in the coarse cube."""
        return voxelise(self.coarse.from_outer(self.points_P3), self.confidence_P, clip=True)

    def voxels(self, cube: Cube) -> VoxelGrid:
        """The visible points in any cube of the world. Points outside the cube are dropped."""
        return voxelise(cube.from_outer(self.points_P3), self.confidence_P)

    def fine_voxels(self, fine: Cube) -> VoxelGrid:
        """The visible points in the fine cube. Points outside the cube are moved to its walls."""
        points = fine.from_outer(self.coarse.from_outer(self.points_P3))
        return voxelise(points, self.confidence_P, clip=True)


def observe(
    instance_id: int,
    mask_HW: np.ndarray,
    view: SceneView,
    frame: Frame,
    image_px: int,
    min_points: int,
    reference_compat: ReferenceCompat,
) -> Observation:
    """Everything that the networks are told about one instance.

    image_px: S. min_points: the fewest pixels with depth that are enough.
    Raises NotEnoughSeen for an empty mask, or one with too few pixels with depth.
    """
    if not mask_HW.any():
        raise NotEnoughSeen("the mask is empty")
    window = _Window.of(mask_HW)
    seen_hw = mask_HW[window.slices] & (np.nan_to_num(view.depth_HW[window.slices]) > 0)
    if not seen_hw.any():
        raise NotEnoughSeen("no pixel of the mask has valid depth")
    if (seen := int(seen_hw.sum())) < min_points:
        raise NotEnoughSeen(f"{seen} pixels of the mask have depth; at least {min_points} are needed")
    clear_hw = interior(seen_hw, max(mask_HW.shape))
    if clear_hw.sum() < min_points:
        clear_hw = seen_hw
    used_hw = clear_hw if reference_compat.interior_points_at_inference else seen_hw
    rows, columns = np.nonzero(used_hw)
    points_P3 = _world_points(view, rows + window.top, columns + window.left)
    confidence_P = torch.from_numpy(np.where(clear_hw[used_hw], np.float32(1), np.float32(EDGE_CONFIDENCE)))
    colours_P3 = torch.from_numpy(view.rgb_HW3[window.slices][used_hw])
    coarse = coarse_cube(points_P3, confidence_P)
    near_P = coarse.from_outer(points_P3).abs().amax(1) <= VISIBLE_HALF
    return Observation(
        instance_id,
        points_P3[near_P],
        confidence_P[near_P],
        colours_P3[near_P],
        coarse,
        instance_crop(view.rgb_HW3, mask_HW, image_px),
        _scene_mask(frame.apply(mask_HW, False), image_px),
        _touches_border(mask_HW),
    )


@dataclass(frozen=True)
class _Window:
    """The bounding box of a mask. Work in it is proportional to the size of the object, not of the image."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def of(cls, mask_HW: np.ndarray) -> _Window:
        rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
        return cls(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


def _world_points(view: SceneView, rows: np.ndarray, columns: np.ndarray) -> Tensor:
    K_px, T_world_cam = (
        torch.from_numpy(np.asarray(m, np.float64)) for m in (view.camera.K_px, view.camera.T_world_cam)
    )
    u, v = torch.from_numpy(columns).double(), torch.from_numpy(rows).double()
    origin, direction = pixel_rays_opengl(u, v, K_px, opengl_to_opencv(T_world_cam))
    depth = torch.from_numpy(view.depth_HW[rows, columns].astype(np.float64))
    return origin + direction * depth[:, None]


def _scene_mask(mask_HW: np.ndarray, size: int) -> Tensor:
    """[S, S] float, resized by nearest pixels, as in training."""
    rows, columns = (((np.arange(size) + 0.5) * n / size).astype(int) for n in mask_HW.shape)
    return torch.from_numpy(mask_HW[rows][:, columns].astype(np.float32))


def _touches_border(mask_HW: np.ndarray) -> bool:
    return bool(mask_HW[0].any() or mask_HW[-1].any() or mask_HW[:, 0].any() or mask_HW[:, -1].any())
