"""The frames in which objects are compared, so that large and small objects count alike.

Each brings the object to about [-0.95, 0.95]^3. Shapes: N points.
"""

from __future__ import annotations

import numpy as np

HALF_SIDE = 0.95


def to_canonical(points_N3: np.ndarray, T_world_obj: np.ndarray) -> np.ndarray:
    """World points in the canonical frame of an object, its cube scaled from [-0.5, 0.5]^3 to [-0.95, 0.95]^3.

    The script of the own set gives the pose as translation, scale and yaw; `pose_matrix` turns it into T_world_obj.
    """
    T_obj_world = np.linalg.inv(T_world_obj.astype(np.float64))
    return 2 * HALF_SIDE * (points_N3.astype(np.float64) @ T_obj_world[:3, :3].T + T_obj_world[:3, 3])


def pose_matrix(translation_3: np.ndarray, scale: float, yaw_rad: float) -> np.ndarray:
    """(4, 4) T_world_obj of the official generator's pose: world = scale * Rz(yaw) * v - translation."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    T_world_obj = np.eye(4)
    T_world_obj[:3, :3] = scale * np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    T_world_obj[:3, 3] = -np.asarray(translation_3, np.float64)
    return T_world_obj


def box_pose(points_N3: np.ndarray) -> np.ndarray:
    """(4, 4) T_world_obj for points without a pose: the canonical cube is laid over their bounding box, not rotated."""
    low, high = points_N3.min(axis=0), points_N3.max(axis=0)
    T_world_obj = np.diag([*[float((high - low).max()) or 1.0] * 3, 1.0])
    T_world_obj[:3, 3] = (low + high) / 2
    return T_world_obj


def normalised_as_released(points_N3: np.ndarray) -> np.ndarray:
    """MIDI's script as released, in float32: the min and max of each *point's* coordinates become -0.95 and 0.95."""
    return _min_max(points_N3.astype(np.float32), axis=1)


def normalised_per_axis(points_N3: np.ndarray) -> np.ndarray:
    """What that script most likely meant: the min and max of each axis over the cloud become -0.95 and 0.95."""
    return _min_max(points_N3.astype(np.float32), axis=0)


def _min_max(points_N3: np.ndarray, axis: int) -> np.ndarray:
    low, high = points_N3.min(axis=axis, keepdims=True), points_N3.max(axis=axis, keepdims=True)
    extent = np.where(high > low, high - low, np.float32(1))
    return np.float32(2 * HALF_SIDE) * (points_N3 - low) / extent - np.float32(HALF_SIDE)
