"""A camera on the z axis of the world, looking at its origin."""

from __future__ import annotations

import torch

from pipelines.rendering import View

DISTANCE = 2.0
FOCAL = 1.25  # image widths


def front_view(size_px: tuple[int, int] = (32, 24), near: float = 0.01) -> View:
    """Camera axes are world axes, moved by -2 along z: a world point is at depth z + 2."""
    T_world_cam = torch.eye(4, dtype=torch.float64)
    T_world_cam[2, 3] = -DISTANCE
    aspect = size_px[0] / size_px[1]
    K_norm = torch.tensor([[FOCAL, 0, 0.5], [0, FOCAL * aspect, 0.5], [0, 0, 1]], dtype=torch.float64)
    return View(T_world_cam, K_norm, size_px, near)
