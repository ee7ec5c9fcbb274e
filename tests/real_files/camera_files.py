"""Cameras as programs write them. All are `K` and a level camera, or are refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.complete.view import level_camera
from tests.real_files.picture_case import HEIGHT, WIDTH, FileCase, Refused

FOCAL = 40.0
K = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1.0]])
K_NORM = np.diag([1 / WIDTH, 1 / HEIGHT, 1]) @ K
FOV_RAD = 2 * math.atan(WIDTH / 2 / FOCAL)
LEVEL = level_camera()
LEVEL_GL = LEVEL @ np.diag([1.0, -1, -1, 1])
SOMEWHERE = LEVEL.copy()
SOMEWHERE[:3, 3] = 1, 2, 1.5
NUMBERS = {"fx": FOCAL, "fy": FOCAL, "cx": WIDTH / 2, "cy": HEIGHT / 2}
NERF = {"fl_x": FOCAL, "fl_y": FOCAL, "cx": WIDTH / 2, "cy": HEIGHT / 2, "w": WIDTH, "h": HEIGHT}
POSED = {"file_path": "images/1.jpg", "transform_matrix": LEVEL_GL.tolist()}
OPEN3D = {"width": WIDTH, "height": HEIGHT, "intrinsic_matrix": K.T.reshape(-1).tolist()}


def _json(values: dict[str, Any]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "camera.json").write_text(json.dumps(values, default=lambda array: array.tolist()))
        return folder / "camera.json"

    return write


def _case(name: str, report: str, values: dict[str, Any], right: Any = (K, LEVEL), tolerance: float = 1e-9) -> FileCase:
    return FileCase(name, report, _json(values), right, tolerance)


CAMERAS = [
    _case(
        "moge", "fov.json of MoGe: degrees", {"fov_x": round(math.degrees(FOV_RAD), 2), "fov_y": 43.6}, tolerance=0.01
    ),
    _case("moge's matrix", "MoGe 76: normalised intrinsics", {"intrinsics": K_NORM}),
    _case("in pixels", "intrinsics of others", {"intrinsics": K}),
    _case("nerf", "nerf-pytorch 41: an angle in radians, OpenGL axes", {"camera_angle_x": FOV_RAD, **POSED}),
    _case("nerfstudio", "Camorph 19: intrinsics in the frame", {"frames": [{**NERF, **POSED}]}),
    _case(
        "nerfstudio's frames", "nerfstudio 3057: several", {**NERF, "frames": [POSED] * 2}, Refused("2 frames; leave")
    ),
    _case("open3d", "nine numbers down the columns", OPEN3D),
    _case("4x4", "a matrix of homogeneous coordinates", {"K": np.pad(K, (0, 1)) + np.diag([0, 0, 0, 1])}),
    _case("by columns", "written by a program that counts columns first", {"K_px": K.T}),
    _case("text", "numbers in quotes", {name: str(value) for name, value in NUMBERS.items()}),
    _case("3x4", "a pose without its last row", {**NUMBERS, "T_world_cam": LEVEL[:3]}),
    _case(
        "half the size", "Apple LiDAR Stream 1: K of the depth", {"K_px": np.diag([0.5, 0.5, 1]) @ K, "w": 24, "h": 16}
    ),
    _case(
        "size not said",
        "the same without a size",
        {"K_px": np.diag([0.5, 0.5, 1]) @ K},
        Refused('"width" and "height"'),
    ),
    _case(
        "swapped", "K of a photo before EXIF turned it", {**NUMBERS, "width": 32, "height": 48}, Refused("turned by 90")
    ),
    _case(
        "normalised", "stereo-magnification 16: ratios", {"K_px": K_NORM}, Refused('normalised intrinsics as "K_norm"')
    ),
    _case("not normalised", "pixels called normalised", {"K_norm": K}, Refused('in pixels as "K_px"')),
    _case("radians", "radians where degrees are wanted", {"fov_x_deg": FOV_RAD}, Refused("not radians.*61.9 degrees")),
    _case("millimetres", "Metric3D 162: a focal length in millimetres", {**NUMBERS, "fx": 0.004}, Refused("of pixels")),
    _case("mirrored", "an axis the other way", {**NUMBERS, "T_world_cam": np.diag([1, 1, -1, 1])}, Refused("mirrors")),
    _case("pose by columns", "translation below", {**NUMBERS, "T_world_cam": SOMEWHERE.T}, Refused("transpose it")),
]
