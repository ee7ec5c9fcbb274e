"""Cameras around an object."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pipelines.rendering.view import View


def look_at(eye_3: Tensor, target_3: Tensor, up_3: Tensor) -> Tensor:
    """[4, 4] float64 camera to world, OpenCV axes: at `eye`, looking at `target`, `up` upwards in the picture."""
    forward = torch.nn.functional.normalize((target_3 - eye_3).double(), dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up_3.double()), dim=0)
    T_world_cam = torch.eye(4, dtype=torch.float64)
    T_world_cam[:3] = torch.stack([right, torch.linalg.cross(forward, right), forward, eye_3.double()], dim=1)
    return T_world_cam


def orbit_views(
    count: int,
    size_px: tuple[int, int],
    elevation_rad: float = 0.35,
    azimuth_rad: float = 0.6,
    distance: float = 2.0,
    fov_x_rad: float = math.radians(40.0),
) -> list[View]:
    """Views of the cube [-0.5, 0.5]^3 with z up, evenly spaced in azimuth from `azimuth_rad` on (0 is +x)."""
    width, height = size_px
    focal = 0.5 / math.tan(fov_x_rad / 2)
    K_norm = torch.tensor([[focal, 0, 0.5], [0, focal * width / height, 0.5], [0, 0, 1]], dtype=torch.float64)
    views = []
    for i in range(count):
        azimuth = azimuth_rad + 2 * math.pi * i / count
        flat, rise = math.cos(elevation_rad), math.sin(elevation_rad)
        direction = torch.tensor([flat * math.cos(azimuth), flat * math.sin(azimuth), rise], dtype=torch.float64)
        pose = look_at(distance * direction, torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]))
        views.append(View(pose, K_norm, size_px))
    return views
