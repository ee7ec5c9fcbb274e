"""Cameras of other test sets in this project's conventions."""

from __future__ import annotations

import numpy as np


def pinhole(size_px: tuple[int, int], fov_x_rad: float) -> np.ndarray:
    """(3, 3) K_px of a camera with square pixels and a centred principal point. size_px: (width, height)."""
    width, height = size_px
    focal = width / 2 / np.tan(fov_x_rad / 2)
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])


def from_opengl(T_world_cam_gl: np.ndarray) -> np.ndarray:
    """(4, 4) camera to world with OpenCV axes (y down, z forward), of a camera with OpenGL axes (y up, z backward)."""
    return T_world_cam_gl @ np.diag([1.0, -1.0, -1.0, 1.0])
