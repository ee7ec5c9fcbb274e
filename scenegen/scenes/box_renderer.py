"""The box renderer: draws every object as its bounding box, in NumPy, with exact depth, ids and normals, flat shading.

It makes tests of everything around the renderer quick. Its name is in the metadata of every file that it makes: these
are never data to train on. Frames and units are those of scenegen.layout.spec.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from scenegen.assets.library import CanonicalMesh
from scenegen.assets.manifest import AssetRecord
from scenegen.contract.records import BACKGROUND_ID, BOTH, FIRST, FIRST_OBJECT_ID, FLOOR_ID, WALL_ID, ViewImages
from scenegen.errors import AssetError
from scenegen.layout.spec import CameraSpec, RoomSpec, SceneSpec

_CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)], np.float32)
_FACES = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ],
    np.int32,
)  # fmt: skip
_LIGHT = np.array([0.4, -0.3, 0.87])
_SKY = np.array([0.75, 0.85, 1.0])
_MIN_SIDE = 0.01


class HasRecords(Protocol):
    """The part of an asset library that the box library needs."""

    @property
    def records(self) -> Mapping[str, AssetRecord]: ...


class BoxLibrary:
    """The assets of a library with their bounding boxes as shapes, so that layout and renderer see the same scene."""

    def __init__(self, library: HasRecords) -> None:
        self._library = library

    @property
    def records(self) -> Mapping[str, AssetRecord]:
        return self._library.records

    def mesh(self, uid: str) -> CanonicalMesh:
        """The box of an asset. Raises AssetError if the manifest states no extents."""
        return CanonicalMesh((_CORNERS * self._sides(uid)).astype(np.float32), _FACES)

    def convex_parts(self, uid: str) -> tuple[np.ndarray, ...]:
        return (self.mesh(uid).vertices,)

    def _sides(self, uid: str) -> np.ndarray:
        sides = np.array(self.records[uid].extents)
        if not (np.isfinite(sides).all() and sides.max() > 0):
            raise AssetError(uid, f"its manifest states extents {tuple(sides)}")
        return np.maximum(sides, _MIN_SIDE)


@dataclass(frozen=True, slots=True)
class BoxView:
    """A clean view of the box of an asset; see scenegen.scenes.renderer.CleanImages."""

    rgba: np.ndarray
    depth: np.ndarray


class BoxViewRenderer:
    """Draws the box of one asset alone; see scenegen.scenes.renderer.ViewRenderer."""

    def __init__(self, library: BoxLibrary) -> None:
        self._library = library

    def render(self, uid: str, cameras: Sequence[CameraSpec], samples: int) -> Iterator[BoxView]:
        box = _box(self._library, FIRST_OBJECT_ID, uid, np.eye(4))
        for camera in cameras:
            images = _draw(None, camera, (), [box])
            alpha = np.where(images.instance_id == BACKGROUND_ID, 0, 255).astype(np.uint8)[..., None]
            yield BoxView(np.concatenate([images.rgb * (alpha > 0), alpha], axis=-1), images.depth_m)

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class _Box:
    """An object as a box. T_box_world maps world points into its unit cube [-0.5, 0.5]^3. colour: (3,), linear."""

    instance_id: int
    T_box_world: np.ndarray
    colour: np.ndarray


class BoxRenderer:
    """Draws scenes of a BoxLibrary; see scenegen.scenes.renderer.Renderer.

    transparent: as in RenderConfig. Boxes are opaque, so that the first surface is also the first opaque one.
    """

    def __init__(self, library: BoxLibrary, transparent: str = FIRST) -> None:
        self._library = library
        self._transparent = transparent

    def render(self, spec: SceneSpec) -> Iterator[ViewImages]:
        boxes = [_box(self._library, each.instance_id, each.asset_uid, each.T_world_obj) for each in spec.objects]
        for view in spec.views:
            images = _draw(spec.room, view.camera, view.unseen_walls, boxes)
            yield _twice(images) if self._transparent == BOTH else images

    def close(self) -> None:
        """Nothing is held."""


def _twice(images: ViewImages) -> ViewImages:
    return replace(
        images,
        depth_opaque_m=images.depth_m,
        instance_id_opaque=images.instance_id,
        normal_cam_opaque=images.normal_cam,
    )


def _box(library: BoxLibrary, instance_id: int, uid: str, T_world_obj: np.ndarray) -> _Box:
    mesh = library.mesh(uid)
    T_obj_box = np.diag([*(mesh.vertices.max(axis=0) - mesh.vertices.min(axis=0)), 1.0])
    seed = hashlib.sha256(uid.encode()).digest()
    colour = 0.25 + 0.6 * np.array([seed[0], seed[1], seed[2]]) / 255.0
    return _Box(instance_id, np.linalg.inv(T_world_obj @ T_obj_box), colour)


@dataclass(slots=True)
class _Canvas:
    """The nearest hit of each of P rays so far, in the world frame.

    origin: (3,) metres. rays: (P, 3), of length 1 along the camera's z. along: (P,) factors of the rays, which are
    planar depths in metres. ids: (P,). normals, colours: (P, 3).
    """

    origin: np.ndarray
    rays: np.ndarray
    along: np.ndarray
    ids: np.ndarray
    normals: np.ndarray
    colours: np.ndarray

    def keep_nearer(
        self, along: np.ndarray, hit: np.ndarray, instance_id: int, normal: np.ndarray, colour: np.ndarray
    ) -> None:
        """Keep the hits that are nearer than those so far. along, hit: (P,). normal: (3,) or (P, 3), world frame."""
        nearer = hit & (along > 1e-6) & (along < self.along)
        self.along[nearer] = along[nearer]
        self.ids[nearer] = instance_id
        self.normals[nearer] = np.broadcast_to(normal, self.normals.shape)[nearer]
        self.colours[nearer] = colour


def _draw(room: RoomSpec | None, camera: CameraSpec, unseen_walls: Sequence[str], boxes: Sequence[_Box]) -> ViewImages:
    width, height = camera.size_px
    T_world_cam = camera.matrix_world
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([columns, rows, np.ones_like(columns)], axis=-1).reshape(-1, 3)
    rays_cam = pixels @ np.linalg.inv(camera.K_px).T  # z = 1, so a ray's factor is its planar depth
    count = len(pixels)
    canvas = _Canvas(
        T_world_cam[:3, 3],
        rays_cam @ T_world_cam[:3, :3].T,
        np.full(count, np.inf),
        np.full(count, BACKGROUND_ID, np.uint16),
        np.full((count, 3), np.nan),
        np.tile(_SKY, (count, 1)),
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        if room:
            _cast_room(canvas, room, unseen_walls)
        for box in boxes:
            _cast_box(canvas, box)
    return _finish(canvas, T_world_cam, (height, width))


def _cast_room(canvas: _Canvas, room: RoomSpec, unseen_walls: Sequence[str]) -> None:
    half = room.floor_size_m / 2
    along = (room.floor_z_m - canvas.origin[2]) / canvas.rays[:, 2]
    at = canvas.origin + along[:, None] * canvas.rays
    canvas.keep_nearer(
        along, (np.abs(at[:, :2]) <= half).all(axis=1), FLOOR_ID, np.array([0.0, 0, 1]), np.full(3, 0.55)
    )
    for wall in room.walls:
        if wall.side in unseen_walls:
            continue
        axis, sign = "xy".index(wall.side[0]), 1.0 if wall.side[1] == "+" else -1.0
        along = (sign * half - canvas.origin[axis]) / canvas.rays[:, axis]
        at = canvas.origin + along[:, None] * canvas.rays
        height = at[:, 2] - room.floor_z_m
        inside = (np.abs(at[:, 1 - axis]) <= half) & (height >= 0) & (height <= room.wall_height_m)
        canvas.keep_nearer(along, inside, WALL_ID, np.eye(3)[axis], np.full(3, 0.7))


def _cast_box(canvas: _Canvas, box: _Box) -> None:
    """The slab test in the frame in which the box is a unit cube; the factor along a ray is the same in every frame."""
    linear = box.T_box_world[:3, :3]
    origin = linear @ canvas.origin + box.T_box_world[:3, 3]
    rays = canvas.rays @ linear.T
    near, far = (-0.5 - origin) / rays, (0.5 - origin) / rays
    enter = np.minimum(near, far)
    axis = enter.argmax(axis=1)
    along = enter[np.arange(len(rays)), axis]
    hit = along <= np.maximum(near, far).min(axis=1)
    normals = linear / np.linalg.norm(linear, axis=1, keepdims=True)  # rows are the box's axes in the world
    canvas.keep_nearer(along, hit, box.instance_id, normals[axis], box.colour)


def _finish(canvas: _Canvas, T_world_cam: np.ndarray, size: tuple[int, int]) -> ViewImages:
    away = (canvas.normals * canvas.rays).sum(axis=1) > 0
    canvas.normals[away] *= -1.0
    hit = canvas.ids != BACKGROUND_ID
    shade = np.where(hit, 0.45 + 0.55 * np.abs(np.nan_to_num(canvas.normals) @ _LIGHT), 1.0)
    rgb = (np.clip(canvas.colours * shade[:, None], 0, 1) ** (1 / 2.2) * 255).round().astype(np.uint8)
    normal_cam = canvas.normals @ T_world_cam[:3, :3]
    return ViewImages(
        rgb.reshape(*size, 3),
        np.where(hit, canvas.along, np.nan).astype(np.float32).reshape(size),
        canvas.ids.reshape(size),
        normal_cam.astype(np.float32).reshape(*size, 3),
    )
