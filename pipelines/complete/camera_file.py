"""A camera from a JSON file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.complete.view import Camera, level_camera
from pipelines.errors import PipelineError

FORMS = (
    '{"fov_x_deg": 60}, {"fx": 900, "fy": 900, "cx": 512, "cy": 384}, {"K_px": [[...], [...], [...]]} or '
    '{"K_norm": ...}, '
    'each with "T_world_cam" (4x4, OpenCV axes, z up) if the pose is known, and with "width" and "height" if the '
    "intrinsics belong to another size of the image"
)


def read_camera(path: Path, size_px: tuple[int, int]) -> Camera:
    """The camera of an image of this size.

    Raises PipelineError for a file that says anything else than one of `FORMS`.
    """
    try:
        return camera_of(json.loads(path.read_text()), size_px)
    except OSError as error:
        raise PipelineError(f"{path} cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PipelineError(f"{path} is no camera ({type(error).__name__}: {error}); give one of {FORMS}") from error


def camera_of(values: dict[str, Any], size_px: tuple[int, int]) -> Camera:
    """Raises KeyError or ValueError for what is no camera."""
    width, height = size_px
    own_width, own_height = values.get("width", width), values.get("height", height)
    T = np.asarray(values["T_world_cam"], np.float64) if "T_world_cam" in values else level_camera()
    if T.shape != (4, 4) or not np.allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-3):
        raise ValueError("T_world_cam must be 4x4 with a rotation in its corner")
    if "fov_x_deg" in values:
        return Camera(Camera.from_fov(math.radians(values["fov_x_deg"]), size_px).K_px, T)
    if "K_norm" in values:
        K = np.diag([width, height, 1.0]) @ np.asarray(values["K_norm"], np.float64)
    else:
        K = np.asarray(values["K_px"], np.float64) if "K_px" in values else _intrinsics(values)
        K = np.diag([width / own_width, height / own_height, 1.0]) @ K
    if K.shape != (3, 3) or not (K[0, 0] > 0 and K[1, 1] > 0):
        raise ValueError("intrinsics must be 3x3 with positive focal lengths")
    return Camera(K, T)


def _intrinsics(values: dict[str, Any]) -> np.ndarray:
    return np.array([[values["fx"], 0, values["cx"]], [0, values.get("fy", values["fx"]), values["cy"]], [0, 0, 1.0]])
