"""Pinhole cameras: pixel rays and projections.

Shapes: P points or pixels. Poses are camera to world. K in pixels, or normalised by image width and height.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

OPENGL_FROM_OPENCV = (1.0, -1.0, -1.0)  # flips of the camera's y and z axes


@dataclass(frozen=True)
class Projection:
    """uv_P2 in [-1, 1] (x right, y down; the range of `grid_sample`), depth_P along the optical axis."""

    uv_P2: Tensor
    depth_P: Tensor


def pixel_rays_opengl(u_P: Tensor, v_P: Tensor, K_px: Tensor, T_world_cam_gl: Tensor) -> tuple[Tensor, Tensor]:
    """Origins and directions [P, 3] in the world of the rays through pixel centres (column u, row v).

    OpenGL camera axes (y up, looking along -z). Directions have depth 1, not length 1, so that
    origin + depth * direction is the point at that planar depth.
    """
    x = (u_P + 0.5 - K_px[0, 2]) / K_px[0, 0]
    y = (v_P + 0.5 - K_px[1, 2]) / K_px[1, 1]
    direction = torch.stack([x, -y, -torch.ones_like(x)], dim=-1).to(T_world_cam_gl.dtype)
    origin = T_world_cam_gl[:3, 3].expand(len(direction), 3)
    return origin, direction @ T_world_cam_gl[:3, :3].T


def project(points_P3: Tensor, T_world_cam: Tensor, K_norm: Tensor) -> Projection:
    """World points into an OpenCV camera (x right, y down, z forward) with normalised intrinsics.

    Raises ValueError for intrinsics in pixels, with which every point would fall far outside the image.
    """
    check_normalised(K_norm)
    T_cam_world = torch.linalg.inv(T_world_cam.to(points_P3.dtype))
    camera_P3 = points_P3 @ T_cam_world[:3, :3].T + T_cam_world[:3, 3]
    pixel_P3 = camera_P3 @ K_norm.to(points_P3.dtype).T
    depth_P = camera_P3[:, 2]
    return Projection(pixel_P3[:, :2] / pixel_P3[:, 2:] * 2 - 1, depth_P)


def check_normalised(K_norm: Tensor) -> None:
    """Raises ValueError for intrinsics in pixels."""
    if K_norm[:2].abs().max() > 20:
        raise ValueError("intrinsics must be normalised by the image's width and height; divide the rows of K by them")


def opengl_to_opencv(T_world_cam_gl: Tensor) -> Tensor:
    """The same camera with OpenCV axes; its own inverse."""
    return T_world_cam_gl * T_world_cam_gl.new_tensor((*OPENGL_FROM_OPENCV, 1.0))
