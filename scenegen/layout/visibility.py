"""What a view shows, by ray casting: instance ids, depth, and the silhouette of each object as if it were alone."""

from collections.abc import Sequence

import numpy as np
from embreex import rtcore_scene

from scenegen.contract.records import BACKGROUND_ID, FLOOR_ID, WALL_ID
from scenegen.layout.raycast import first_hits, mesh_scene, pixel_centres, pixel_rays
from scenegen.layout.shapes import Library, world_mesh
from scenegen.layout.spec import CameraSpec, PlacedObject, RoomSpec, SceneSpec, ViewSpec


def unseen_walls(room: RoomSpec, position_m: Sequence[float], margin_m: float) -> tuple[str, ...]:
    """Sides of the walls that the camera is behind, or closer to than the margin (the official rule)."""
    limit = room.floor_size_m / 2.0 - margin_m
    return tuple(wall.side for wall in room.walls if _along(wall.side, np.asarray(position_m)) > limit)


def _along(side: str, points: np.ndarray) -> np.ndarray:
    """Coordinate of points (..., 3) along the direction of a side."""
    return (1.0 if side[1] == "+" else -1.0) * points[..., "xy".index(side[0])]


class SceneCaster:
    """Ray casts into one scene: the triangle meshes of its objects, its floor and its walls."""

    def __init__(self, room: RoomSpec, objects: Sequence[PlacedObject], library: Library) -> None:
        self.room = room
        self.objects = tuple(objects)
        self._library = library
        self._ids = np.array([o.instance_id for o in objects], dtype=np.uint16)
        self._all = mesh_scene(world_mesh(library.mesh(o.asset_uid), o) for o in objects)
        self._alone: dict[int, rtcore_scene.EmbreeScene] = {}

    @classmethod
    def of(cls, spec: SceneSpec, library: Library) -> "SceneCaster":
        """The caster of a whole scene. Raises AssetError if a mesh cannot be read."""
        return cls(spec.room, spec.objects, library)

    def world_vertices(self, placed: PlacedObject) -> np.ndarray:
        """(V, 3) float64 mesh vertices in the world, metres."""
        return world_mesh(self._library.mesh(placed.asset_uid), placed).vertices

    def view(self, view: ViewSpec, size_px: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Instance ids (H, W) uint16 and planar depth (H, W) float32 in metres, NaN where nothing is hit.

        size_px: (width, height) of a coarser or finer grid over the same frame; rays go through the cells' centres.
        """
        width, height = size_px or view.camera.size_px
        step = (view.camera.size_px[0] / width, view.camera.size_px[1] / height)
        ids, depth = self.cast(view, pixel_centres((width, height), step))
        return ids.reshape(height, width), depth.reshape(height, width)

    def cast(self, view: ViewSpec, xy_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Instance ids (N,) and planar depth (N,) seen through image points (N, 2)."""
        origin, directions = pixel_rays(view.camera, xy_px)
        ids = np.full(len(xy_px), BACKGROUND_ID, dtype=np.uint16)
        depth = np.full(len(xy_px), np.inf, dtype=np.float64)
        geometry, distance = first_hits(self._all, origin, directions)
        hit = geometry >= 0
        if hit.any():
            ids[hit], depth[hit] = self._ids[geometry[hit]], distance[hit]
        self._cast_floor(origin, directions, ids, depth)
        for wall in self.room.walls:
            if wall.side not in view.unseen_walls:
                self._cast_wall(wall.side, origin, directions, ids, depth)
        return ids, np.where(np.isfinite(depth), depth, np.nan).astype(np.float32)

    def hits_alone(self, instance_id: int, camera: CameraSpec, xy_px: np.ndarray) -> np.ndarray:
        """(N,) bool: would the object be visible at these image points (N, 2) if it were alone?"""
        if instance_id not in self._alone:
            placed = self.objects[int(np.nonzero(self._ids == instance_id)[0][0])]
            self._alone[instance_id] = mesh_scene([world_mesh(self._library.mesh(placed.asset_uid), placed)])
        return first_hits(self._alone[instance_id], *pixel_rays(camera, xy_px))[0] >= 0

    def _cast_floor(self, origin: np.ndarray, directions: np.ndarray, ids: np.ndarray, depth: np.ndarray) -> None:
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = (self.room.floor_z_m - origin[2]) / directions[:, 2]
            points = origin[:2] + distance[:, None] * directions[:, :2]
        inside = (np.abs(points) <= self.room.floor_size_m / 2.0).all(axis=1)
        _keep_nearer(FLOOR_ID, distance, inside, ids, depth)

    def _cast_wall(
        self, side: str, origin: np.ndarray, directions: np.ndarray, ids: np.ndarray, depth: np.ndarray
    ) -> None:
        half, low = self.room.floor_size_m / 2.0, self.room.floor_z_m
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = (half - _along(side, origin)) / _along(side, directions)
            points = origin + distance[:, None] * directions
        sideways = points[:, 1 - "xy".index(side[0])]
        inside = (np.abs(sideways) <= half) & (points[:, 2] >= low) & (points[:, 2] <= low + self.room.wall_height_m)
        _keep_nearer(WALL_ID, distance, inside, ids, depth)


def _keep_nearer(plane_id: int, distance: np.ndarray, inside: np.ndarray, ids: np.ndarray, depth: np.ndarray) -> None:
    nearer = inside & (distance > 0.0) & (distance < depth)
    ids[nearer], depth[nearer] = plane_id, distance[nearer]
