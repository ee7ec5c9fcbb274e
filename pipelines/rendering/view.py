"""The camera of a picture.

Shapes: P points, H W image. "World" is whatever frame the geometry is given in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipelines.cameras import check_normalised


@dataclass(frozen=True)
class View:
    """A pinhole camera and its picture.

    T_world_cam: [4, 4], camera to world, OpenCV axes (x right, y down, z forward).
    K_norm: [3, 3], intrinsics with rows divided by the image's width and height.
    size_px: (width, height). near: planar depth in world units; nothing nearer is drawn.

    Raises ValueError for intrinsics in pixels.
    """

    T_world_cam: Tensor
    K_norm: Tensor
    size_px: tuple[int, int]
    near: float = 0.01

    def __post_init__(self) -> None:
        check_normalised(self.K_norm)

    @property
    def K_px(self) -> Tensor:
        """[3, 3]; the centre of the first pixel is (0.5, 0.5)."""
        width, height = self.size_px
        return self.K_norm * self.K_norm.new_tensor([[width], [height], [1]])

    @property
    def T_cam_world(self) -> Tensor:
        return torch.linalg.inv(self.T_world_cam)

    def to_camera(self, points_P3: Tensor) -> Tensor:
        """[P, 3] world points in camera axes, in the points' dtype."""
        T = self.T_cam_world.to(points_P3)
        return points_P3 @ T[:3, :3].T + T[:3, 3]

    def rays_3HW(self) -> Tensor:
        """[3, H, W] directions in world axes through the pixel centres, of planar depth 1 (not of unit length)."""
        (width, height), K = self.size_px, self.K_px
        columns, rows = (torch.arange(n, device=K.device, dtype=K.dtype) + 0.5 for n in (width, height))
        x_HW = ((columns - K[0, 2]) / K[0, 0]).expand(height, width)
        y_HW = ((rows - K[1, 2]) / K[1, 1])[:, None].expand(height, width)
        return torch.einsum("ij,jhw->ihw", self.T_world_cam[:3, :3], torch.stack([x_HW, y_HW, torch.ones_like(x_HW)]))

    def to(self, device: torch.device | str) -> View:
        return replace(self, T_world_cam=self.T_world_cam.to(device), K_norm=self.K_norm.to(device))

    def resized(self, size_px: tuple[int, int]) -> View:
        """The same camera with another number of pixels."""
        return replace(self, size_px=size_px)


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision would move primitives by pixels. float64 stays, for exact gradients."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
