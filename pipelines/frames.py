"""The cubes that the two structure stages work in, and rigid augmentations.

A cube maps its own unit cube [-0.5, 0.5]^3 to the outer frame: p_outer = p * side + centre.
Shapes: P points, V voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.voxelise import RESOLUTION, voxel_centres

FOREGROUND = 0.8  # points with more confidence than this are clearly on the object, not on its outline
COARSE_MARGIN = 2.0  # the visible part fills half of the coarse cube, so that the rest has room to appear
EPSILON = 1e-6


class NoVisiblePoints(ValueError):
    """Nothing to place a cube around."""


@dataclass(frozen=True)
class Cube:
    """centre_3 and side in the outer frame."""

    centre_3: Tensor
    side: Tensor

    def to_outer(self, points_P3: Tensor) -> Tensor:
        return points_P3 * self.side + self.centre_3

    def from_outer(self, points_P3: Tensor) -> Tensor:
        return (points_P3 - self.centre_3) / self.side


def bounding_cube(points_P3: Tensor, margin: float = 1.0) -> Cube:
    """Centred on the bounding box, `margin` times as long as its longest side."""
    if len(points_P3) == 0:
        raise NoVisiblePoints("no points to place a cube around; use a larger mask or another depth source")
    low_3, high_3 = points_P3.aminmax(dim=0)
    return Cube((low_3 + high_3) / 2, (high_3 - low_3).max() * margin + EPSILON)


def coarse_cube(points_P3: Tensor, confidence_P: Tensor) -> Cube:
    """The Coarse Structure Completer's cube, from the points that are clearly on the object (supplement section 1).

    The points come to lie within [-0.25, 0.25]^3 of it.
    """
    return bounding_cube(points_P3[confidence_P > FOREGROUND], COARSE_MARGIN)


def fine_cube(occupied_V3: Tensor, resolution: int = RESOLUTION) -> Cube:
    """The Fine Shape Refiner's cube within the coarse cube: the bounding cube of the completed voxels' centres."""
    return bounding_cube(voxel_centres(occupied_V3, resolution))


def euler_rotation(angles_zyx_rad: Tensor) -> Tensor:
    """[3, 3] rotation about the fixed axes z, then y, then x."""
    cos, sin = angles_zyx_rad.cos(), angles_zyx_rad.sin()
    one, zero = torch.ones_like(cos[0]), torch.zeros_like(cos[0])
    about_z = torch.stack([cos[0], -sin[0], zero, sin[0], cos[0], zero, zero, zero, one]).view(3, 3)
    about_y = torch.stack([cos[1], zero, sin[1], zero, one, zero, -sin[1], zero, cos[1]]).view(3, 3)
    about_x = torch.stack([one, zero, zero, zero, cos[2], -sin[2], zero, sin[2], cos[2]]).view(3, 3)
    return about_x @ about_y @ about_z
