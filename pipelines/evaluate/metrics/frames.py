"""The frames in which objects are compared, so that large and small ones count alike.

Each brings the object to about [-0.95, 0.95]^3. Shapes: N points, P points of a pair.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

HALF_SIDE = 0.95

ObjectFrame = Literal["canonical", "released", "per_axis"]
"""canonical: the truth's own pose (own and ARSG test sets). released, per_axis: the two readings of MIDI's script."""

FRAME_NOTES: dict[ObjectFrame, str] = {
    "canonical": "objects are compared in the truth's canonical frame, longest side 1.9",
    "released": (
        "objects are compared as MIDI's script was released: each point is normalised by its own three coordinates. "
        "That destroys the shape (an affine copy of the truth scores 15 %); only for comparison with published tables"
    ),
    "per_axis": "objects are compared after each cloud's own min-max per axis to +-0.95 (place and size do not count)",
}


def to_canonical(points_N3: np.ndarray, T_world_obj: np.ndarray) -> np.ndarray:
    """World points to the canonical cube [-0.5, 0.5]^3 of an object, blown up to +-0.95.

    The own set's script gives the pose as translation, scale and yaw; `pose_matrix` makes T_world_obj of it.
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
    """(4, 4) T_world_obj of a thing without a pose of its own: its world box, centred, longest side 1, not turned."""
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
