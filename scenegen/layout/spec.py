"""The description of a scene: plain frozen data, independent of the renderer.

World frame: metres, z up; the object area is centred on the z axis and the floor lies at `RoomSpec.floor_z_m`.
Camera frame: OpenCV (x right, y down, z forward). Poses are 4x4, column vectors, "to" frame first: T_world_cam.
"""

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

WALL_SIDES = ("x+", "x-", "y+", "y-")


@dataclass(frozen=True, slots=True)
class MaterialSpec:
    """The material of one plane.

    family: a procedural family ("wood_planks"), or "external" for an entry of a materials manifest.
    uid: the manifest entry when family is "external", else "".
    seed: every parameter of a procedural family is a pure function of it.
    scale: multiplies the size of the texture; 1 is the family's realistic size in metres.
    rotation_rad: rotation of the texture in its plane.
    """

    family: str
    seed: int
    scale: float = 1.0
    rotation_rad: float = 0.0
    uid: str = ""


@dataclass(frozen=True, slots=True)
class WallSpec:
    """One wall: the vertical plane on `side` ("x+", "x-", "y+", "y-") of the floor."""

    side: str
    material: MaterialSpec


@dataclass(frozen=True, slots=True)
class RoomSpec:
    """A square floor with 0 to 4 walls and no ceiling. Walls stand on the floor's edges."""

    floor_size_m: float
    floor_z_m: float
    wall_height_m: float
    floor: MaterialSpec
    walls: tuple[WallSpec, ...]


@dataclass(frozen=True, slots=True)
class LampSpec:
    """A square area lamp that shines downwards, on top of the environment light."""

    position_m: tuple[float, float, float]
    size_m: float
    power_w: float
    color_rgb: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class LightSpec:
    """Image-based light, the same for every view of the scene, and lamps."""

    hdri_uid: str
    rotation_rad: float
    strength: float
    lamps: tuple[LampSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class PlacedObject:
    """An asset in the scene. Its canonical mesh is centred with longest side 1, z up.

    instance_id: the value in the instance map, >= 3.
    """

    instance_id: int
    asset_uid: str
    scale: float
    yaw_rad: float
    translation_m: tuple[float, float, float]

    @property
    def T_world_obj(self) -> np.ndarray:
        """(4, 4) float64, canonical object coordinates to world: scale, then rotate about z, then translate."""
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        T = np.eye(4)
        T[:3, :3] = self.scale * np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        T[:3, 3] = self.translation_m
        return T


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """One pinhole camera.

    T_world_cam: camera to world as four rows of four, metres, OpenCV axes (x right, y down, z forward).
    fov_x_rad: horizontal field of view; pixels are square.
    size_px: (width, height).
    """

    T_world_cam: tuple[tuple[float, ...], ...]
    fov_x_rad: float
    size_px: tuple[int, int]

    @property
    def matrix_world(self) -> np.ndarray:
        """(4, 4) float64 copy of T_world_cam."""
        return np.array(self.T_world_cam, dtype=np.float64)

    @property
    def K_px(self) -> np.ndarray:
        """(3, 3) float64 intrinsics in pixels; the centre of the first pixel is (0.5, 0.5)."""
        width, height = self.size_px
        focal = width / (2.0 * math.tan(self.fov_x_rad / 2.0))
        return np.array([[focal, 0.0, width / 2.0], [0.0, focal, height / 2.0], [0.0, 0.0, 1.0]])


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """A camera, and the walls between it and the scene: invisible to it, but still there for light and shadow."""

    camera: CameraSpec
    unseen_walls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SamplingStats:
    """How many tries the sampling of the scene took.

    views_rejected: (reason, candidates). assets_skipped: (uid, reason) of assets that could not be used.
    """

    objects_requested: int
    placement_attempts: int
    views_rejected: tuple[tuple[str, int], ...] = ()
    assets_skipped: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """Everything that is needed to render one scene, and nothing about the renderer."""

    dataset_seed: int
    scene_index: int
    room: RoomSpec
    light: LightSpec
    objects: tuple[PlacedObject, ...]
    views: tuple[ViewSpec, ...]
    stats: SamplingStats

    def to_json(self) -> str:
        """Canonical JSON: equal specs give equal bytes."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> "SceneSpec":
        """The inverse of `to_json`."""
        raw = json.loads(text)
        return cls(
            dataset_seed=raw["dataset_seed"],
            scene_index=raw["scene_index"],
            room=_room(raw["room"]),
            light=_light(raw["light"]),
            objects=tuple(PlacedObject(**{**o, "translation_m": tuple(o["translation_m"])}) for o in raw["objects"]),
            views=tuple(_view(v) for v in raw["views"]),
            stats=_stats(raw["stats"]),
        )


def _room(raw: dict[str, Any]) -> RoomSpec:
    walls = tuple(WallSpec(w["side"], MaterialSpec(**w["material"])) for w in raw["walls"])
    return RoomSpec(**{**raw, "floor": MaterialSpec(**raw["floor"]), "walls": walls})


def _light(raw: dict[str, Any]) -> LightSpec:
    lamps = tuple(
        LampSpec(**{**lamp, "position_m": tuple(lamp["position_m"]), "color_rgb": tuple(lamp["color_rgb"])})
        for lamp in raw["lamps"]
    )
    return LightSpec(**{**raw, "lamps": lamps})


def _view(raw: dict[str, Any]) -> ViewSpec:
    camera = raw["camera"]
    rows = tuple(tuple(row) for row in camera["T_world_cam"])
    return ViewSpec(CameraSpec(rows, camera["fov_x_rad"], tuple(camera["size_px"])), tuple(raw["unseen_walls"]))


def _stats(raw: dict[str, Any]) -> SamplingStats:
    pairs = {name: tuple(tuple(pair) for pair in raw[name]) for name in ("views_rejected", "assets_skipped")}
    return SamplingStats(**{**raw, **pairs})
