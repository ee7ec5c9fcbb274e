"""From our conventions to those of other formats: axes, pixel centres, units. README.md has the table.

Ours: metres, z up, OpenCV cameras (x right, y down, z forward), the centre of the first pixel is (0.5, 0.5).
Poses are (4, 4), column vectors, "to" frame first: T_world_cam.
"""

import numpy as np

from scenegen.contract.records import FLOOR_ID, WALL_ID
from scenegen.errors import SceneGenError

OPENGL_FROM_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
Y_UP_FROM_Z_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
MM = 1000.0
ROOM_COLOURS = {FLOOR_ID: (0.35, 0.30, 0.25), WALL_ID: (0.6, 0.6, 0.58)}
"""Linear colours; the materials of rooms are procedural, and exist in Blender alone."""
DEPTH_STEPS_MM = (0.25, 1.0, 4.0)
"""Steps of depth in 16 bits: 0.25 mm reaches to 16.38 m, further than nearly every view of the default room."""
MAX_STEPS = np.iinfo(np.uint16).max


def opengl_camera(T_world_cam: np.ndarray) -> np.ndarray:
    """Camera to world for a camera that looks along -z with y up (OpenGL, Blender, Nerfstudio, glTF, USD)."""
    return T_world_cam @ OPENGL_FROM_OPENCV


def y_up_camera(T_world_cam: np.ndarray) -> np.ndarray:
    """`opengl_camera` in a world with y up (glTF)."""
    return Y_UP_FROM_Z_UP @ opengl_camera(T_world_cam)


def y_up_object(T_world_obj: np.ndarray) -> np.ndarray:
    """The pose of an object whose own vertices and whose world have y up (glTF)."""
    return Y_UP_FROM_Z_UP @ T_world_obj @ Y_UP_FROM_Z_UP.T


def first_pixel_at_zero(K_px: np.ndarray) -> np.ndarray:
    """Intrinsics for readers to whom the centre of the first pixel is (0, 0): OpenCV, BOP, BlenderProc."""
    shifted = K_px.copy()
    shifted[:2, 2] -= 0.5
    return shifted


def fov_y_rad(K_px: np.ndarray, height: int) -> float:
    """Vertical field of view."""
    return float(2.0 * np.arctan(height / (2.0 * K_px[1, 1])))


def scale_of(T_world_obj: np.ndarray) -> float:
    """The uniform scale of a pose: the longest side of the object in metres, since canonical meshes have 1."""
    return float(np.cbrt(np.linalg.det(T_world_obj[:3, :3])))


def without_scale(T_world_obj: np.ndarray) -> np.ndarray:
    """The rigid part of a pose, for a mesh that has its size already."""
    rigid = T_world_obj.copy()
    rigid[:3, :3] /= scale_of(T_world_obj)
    return rigid


def inverse(T: np.ndarray) -> np.ndarray:
    """The inverse of a rigid pose."""
    R = T[:3, :3].T
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = R, -R @ T[:3, 3]
    return result


def depth_steps(depth_m: np.ndarray, step_m: float) -> np.ndarray:
    """(H, W) uint16 planar depth in steps, rounded; 0 where nothing was hit, and beyond what 16 bits hold."""
    steps = np.rint(np.nan_to_num(depth_m.astype(np.float64)) / step_m)
    return np.where(steps <= MAX_STEPS, steps, 0).astype(np.uint16)


def depth_step_mm(depth_m: np.ndarray) -> float:
    """The finest of `DEPTH_STEPS_MM` in which 16 bits hold the image. Raises SceneGenError beyond 262 m."""
    farthest_mm = float(np.nanmax(depth_m, initial=0.0)) * MM
    for step_mm in DEPTH_STEPS_MM:
        if np.rint(farthest_mm / step_mm) <= MAX_STEPS:
            return step_mm
    raise SceneGenError(f"a depth of {farthest_mm / MM:.0f} m does not fit into 16 bits; use another --format")


def box_xywh(box: tuple[int, int, int, int]) -> list[int]:
    """(x0, y0, x1, y1), ends exclusive, as [x, y, width, height]."""
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]
