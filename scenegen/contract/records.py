"""The decoded records that readers get and writers give, as plain data.

Shapes: H, W image size in pixels. Frames: world (metres, z up) and camera (metres, OpenCV: x right, y down, z forward).
"""

from dataclasses import dataclass

import numpy as np

BACKGROUND_ID = 0
FLOOR_ID = 1
WALL_ID = 2
FIRST_OBJECT_ID = 3
FIRST, OPAQUE, BOTH = "first", "opaque", "both"
"""What depth, ids and normals show behind something transparent: the first surface; the first opaque surface; or both,
the opaque one in columns of its own. README.md says what is transparent."""
OPAQUE_IMAGES = ("depth_opaque_m", "instance_id_opaque", "normal_cam_opaque")


@dataclass(frozen=True, slots=True)
class ViewImages:
    """The rendered passes of one view.

    rgb: (H, W, 3) uint8, sRGB display values; the dataset's metadata names the colour transform.
    depth_m: (H, W) float32, planar z in metres, NaN where nothing was hit.
    instance_id: (H, W) uint16, no antialiasing: 0 background, 1 floor, 2 wall, >= 3 objects.
    normal_cam: (H, W, 3) float32, unit normals in the camera frame, facing the camera; NaN where nothing was hit.
    albedo: (H, W, 3) uint8 or None.
    depth_opaque_m, instance_id_opaque, normal_cam_opaque: the same of the first opaque surface, or None.
    """

    rgb: np.ndarray
    depth_m: np.ndarray
    instance_id: np.ndarray
    normal_cam: np.ndarray
    albedo: np.ndarray | None = None
    depth_opaque_m: np.ndarray | None = None
    instance_id_opaque: np.ndarray | None = None
    normal_cam_opaque: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What one view shows of one object. Boxes are (x0, y0, x1, y1) in pixels, x1 and y1 exclusive.

    visible_px: pixels with its id. amodal_px: pixels inside the frame that it would cover if it were alone.
    occlusion: 1 - visible / amodal. truncation: share of its silhouette outside the frame.
    mask_components: 8-connected components of its mask. Empty boxes are (0, 0, 0, 0).
    """

    instance_id: int
    visible_px: int
    amodal_px: int
    occlusion: float
    truncation: float
    mask_components: int
    visible_box_px: tuple[int, int, int, int]
    amodal_box_px: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class SceneObject:
    """An object of a scene.

    T_world_obj: (4, 4) float64, canonical object coordinates (centred, longest side 1, z up) to world metres.
    """

    instance_id: int
    asset_uid: str
    asset_sha256: str
    licence: str
    T_world_obj: np.ndarray


@dataclass(frozen=True, slots=True)
class ViewObject:
    """An object in one view: its facts in the view, and its identity and pose."""

    facts: ObjectFacts
    scene_object: SceneObject

    @property
    def instance_id(self) -> int:
        return self.facts.instance_id

    @property
    def asset_uid(self) -> str:
        return self.scene_object.asset_uid

    @property
    def T_world_obj(self) -> np.ndarray:
        """(4, 4) float64, canonical object coordinates to world metres."""
        return self.scene_object.T_world_obj


@dataclass(frozen=True, slots=True)
class View:
    """One decoded row of a views shard.

    Images are as in ViewImages; those that were not asked for are None.
    size_px: (width, height). K_px: (3, 3) float64, pixels; the centre of the first pixel is (0.5, 0.5).
    T_world_cam: (4, 4) float64, camera to world, OpenCV axes.
    facts: what the view shows of each object of the scene. objects: the same with identity and pose.
    """

    scene_index: int
    view_index: int
    size_px: tuple[int, int]
    K_px: np.ndarray
    T_world_cam: np.ndarray
    facts: tuple[ObjectFacts, ...]
    objects: tuple[ViewObject, ...] = ()
    rgb: np.ndarray | None = None
    depth_m: np.ndarray | None = None
    instance_id: np.ndarray | None = None
    normal_cam: np.ndarray | None = None
    albedo: np.ndarray | None = None
    depth_opaque_m: np.ndarray | None = None
    instance_id_opaque: np.ndarray | None = None
    normal_cam_opaque: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """One decoded row of a scenes shard. `spec_json` is enough to rebuild the scene.

    status: "ok", or "failed" with the reason in `failure` and nothing in the other fields.
    licences: SPDX ids of its objects, sorted. views_rejected: (reason, count) of refused camera candidates.
    """

    scene_index: int
    status: str = "ok"
    failure: str = ""
    objects: tuple[SceneObject, ...] = ()
    objects_requested: int = 0
    placement_attempts: int = 0
    views_rejected: tuple[tuple[str, int], ...] = ()
    num_walls: int = 0
    hdri_uid: str = ""
    licences: tuple[str, ...] = ()
    commercial_use: bool = False
    spec_json: str = ""
    spec_sha256: str = ""
