"""A camera from a JSON file, in the common forms. Implausible cameras are refused, because a wrong camera distorts
everything without an error."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.complete.inputs.resize import same_shape
from pipelines.complete.view import NARROWEST_DEG, Camera, level_camera
from pipelines.errors import PipelineError

FORMS = (
    '{"fov_x_deg": 60}, {"fx": 900, "fy": 900, "cx": 512, "cy": 384}, {"K_px": [[...], [...], [...]]} or '
    '{"K_norm": ...}, '
    'each with "T_world_cam" (4x4, OpenCV axes, z up) if the pose is known, and with "width" and "height" if the '
    "intrinsics belong to another size of the image; files of MoGe, nerfstudio and Open3D are read, too"
)
MATRICES = ("K_px", "K", "intrinsic_matrix", "camera_matrix")  # the third is Open3D's: nine numbers, column by column
OFF_CENTRE = 0.2  # of the image: with a principal point further from the middle the file must state the image's size
WIDEST_DEG = 175.0
AXES_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def read_camera(path: Path, size_px: tuple[int, int]) -> Camera:
    """The camera of an image of this size (width, height).

    Raises PipelineError for a file that has none of the `FORMS`.
    """
    try:
        return camera_of(json.loads(path.read_bytes()), size_px)  # of bytes, so that a byte order mark is skipped
    except OSError as error:
        raise PipelineError(f"{path} cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise PipelineError(f"{path} is no camera: {said}; give one of {FORMS}") from error


def camera_of(values: dict[str, Any], size_px: tuple[int, int]) -> Camera:
    """Raises KeyError, TypeError or ValueError for what is no camera, or no camera of an image of this size."""
    try:
        return _camera_of(values, size_px)
    except OverflowError as error:  # JSON has integers of any length
        raise ValueError(f"a number of it is too large: {error}") from error


def _camera_of(values: dict[str, Any], size_px: tuple[int, int]) -> Camera:
    if "frames" in values:  # nerfstudio's transforms.json: what all frames share, then each frame
        frames = values["frames"]
        if len(frames) != 1:
            raise ValueError(f"it has {len(frames)} frames; leave the one of the image")
        values = {**values, **frames[0]}
    T = _pose(values)
    angle_rad = _angle_rad(values)
    if angle_rad is not None:
        return Camera(Camera.from_fov(angle_rad, size_px).K_px, T)
    K = _in_pixels(values, size_px)
    _check_view(K, size_px)
    return Camera(K, T)


def _angle_rad(values: dict[str, Any]) -> float | None:
    """The horizontal field of view, if the file states it. `fov_x` is MoGe's, `camera_angle_x` NeRF's."""
    if "fl_x" in values or "fx" in values:
        return None  # nerfstudio writes both, and the focal length knows the principal point
    for name in ("fov_x_deg", "fov_x"):
        if name in values:
            return math.radians(values[name])
    return float(values["camera_angle_x"]) if "camera_angle_x" in values else None


def _in_pixels(values: dict[str, Any], size_px: tuple[int, int]) -> np.ndarray:
    """(3, 3) intrinsics in pixels of the image."""
    width, height = size_px
    to_px = np.diag([width, height, 1.0])
    if "K_norm" in values:
        K = _matrix(values["K_norm"])
        if not _is_normalised(K):
            raise ValueError('"K_norm" has its principal point outside of 0 to 1: write intrinsics in pixels as "K_px"')
        return to_px @ K
    if "intrinsics" in values:  # MoGe's are normalised, others' in pixels
        K = _matrix(values["intrinsics"])
        if _is_normalised(K):
            return to_px @ K
    else:
        given = next((values[name] for name in MATRICES if name in values), None)
        K = _from_numbers(values, size_px) if given is None else _matrix(given)
    if _is_normalised(K) and min(size_px) > 2:
        raise ValueError('its principal point lies in the first pixel: write normalised intrinsics as "K_norm"')
    own_px = _own_size(values)
    if own_px is None:
        _check_centre(K, size_px)
        return K
    if not same_shape(own_px, size_px):
        turned = "turned by 90 degrees" if same_shape(own_px[::-1], size_px) else "cropped or stretched"
        raise ValueError(
            f"it belongs to an image of {own_px[0]}x{own_px[1]} px and the image is {width}x{height}: {turned}; give "
            "the intrinsics of the image as viewers show it"
        )
    return np.diag([width / own_px[0], height / own_px[1], 1.0]) @ K


def _own_size(values: dict[str, Any]) -> tuple[int, int] | None:
    """(width, height) of the image that the intrinsics belong to, if the file states it."""
    width, height = values.get("width", values.get("w")), values.get("height", values.get("h"))
    if width is None or height is None:
        return None
    if not (0 < width < math.inf and 0 < height < math.inf):
        raise ValueError(f"no image has {width}x{height} px")
    return int(width), int(height)


def _from_numbers(values: dict[str, Any], size_px: tuple[int, int]) -> np.ndarray:
    fx = values["fl_x"] if "fl_x" in values else values["fx"]
    fy = values.get("fl_y", values.get("fy", fx))
    width, height = _own_size(values) or size_px
    cx, cy = values.get("cx", width / 2), values.get("cy", height / 2)
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]], np.float64)


def _matrix(given: Any) -> np.ndarray:
    """(3, 3) from three rows or nine numbers, row by row or column by column, as the place of 0, 0, 1 tells; or from a
    3x4 or 4x4 matrix whose last column is zero."""
    K = np.asarray(given, np.float64)
    K = K.reshape(3, 3) if K.shape == (9,) else K
    if K.shape in ((3, 4), (4, 4)) and not K[:3, 3].any():
        K = K[:3, :3]
    if K.shape == (3, 3) and np.array_equal(K[:, 2], (0, 0, 1)) and K[2, :2].any():
        K = K.T
    if K.shape != (3, 3) or not np.array_equal(K[2], (0, 0, 1)):
        raise ValueError("intrinsics must be 3x3 with 0 0 1 as the last row")
    return K


def _is_normalised(K: np.ndarray) -> bool:
    return bool(0 < K[0, 2] <= 1 and 0 < K[1, 2] <= 1)


def _check_view(K: np.ndarray, size_px: tuple[int, int]) -> None:
    if not (np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0):
        raise ValueError("intrinsics must be numbers with positive focal lengths")
    fov_x_deg = math.degrees(2 * math.atan(size_px[0] / 2 / K[0, 0]))
    if not NARROWEST_DEG <= fov_x_deg <= WIDEST_DEG:
        raise ValueError(
            f"with a focal length of {K[0, 0]:g} px an image of {size_px[0]} px would see {fov_x_deg:.3g} degrees; is "
            "it of pixels, and of this size of the image?"
        )


def _check_centre(K: np.ndarray, size_px: tuple[int, int]) -> None:
    """A principal point far from the middle belongs to another size of the image. Raises ValueError."""
    off = np.abs(K[:2, 2] / size_px - 0.5)
    if not (off <= OFF_CENTRE).all():
        raise ValueError(
            f"its principal point ({K[0, 2]:g}, {K[1, 2]:g}) is far from the middle of {size_px[0]}x{size_px[1]} px; "
            'say which size it belongs to with "width" and "height"'
        )


def _pose(values: dict[str, Any]) -> np.ndarray:
    """(4, 4) camera to world, OpenCV axes. `transform_matrix` is NeRF's, with OpenGL's."""
    name = next((name for name in ("T_world_cam", "transform_matrix") if name in values), None)
    if name is None:
        return level_camera()
    T = np.asarray(values[name], np.float64)
    if T.shape == (3, 4):
        T = np.vstack([T, (0, 0, 0, 1)])
    if T.shape != (4, 4) or not np.allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-3):
        raise ValueError(f"{name} must be 4x4 with a rotation in its corner")
    if not np.allclose(T[3], (0, 0, 0, 1)):
        raise ValueError(f"the last row of {name} must be 0 0 0 1; it is written by columns: transpose it")
    if np.linalg.det(T[:3, :3]) < 0:
        raise ValueError(f"{name} mirrors: one of its axes points the other way")
    return T if name == "T_world_cam" else T @ AXES_OPENGL
