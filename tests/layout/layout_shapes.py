"""Libraries in memory, of shapes whose truth is known: boxes, a ball, a table of five boxes."""

from collections.abc import Sequence

import numpy as np
import trimesh

from scenegen.assets.library import CanonicalMesh
from scenegen.assets.manifest import AssetRecord
from scenegen.errors import AssetError
from scenegen.layout.cameras import look_at
from scenegen.layout.spec import (
    CameraSpec,
    LightSpec,
    MaterialSpec,
    PlacedObject,
    RoomSpec,
    SamplingStats,
    SceneSpec,
    ViewSpec,
    WallSpec,
)


class MemoryLibrary:
    """Answers like AssetLibrary: records, mesh, convex_parts."""

    def __init__(self, solids: dict[str, Sequence[trimesh.Trimesh]], broken: Sequence[str] = ()) -> None:
        self.records = {uid: _record(uid) for uid in [*solids, *broken]}
        self._broken = set(broken)
        self._meshes: dict[str, CanonicalMesh] = {}
        self._parts: dict[str, tuple[np.ndarray, ...]] = {}
        for uid, parts in solids.items():
            whole = trimesh.util.concatenate(list(parts))
            centre, longest = whole.bounds.mean(axis=0), whole.extents.max()
            vertices = ((whole.vertices - centre) / longest).astype(np.float32)
            self._meshes[uid] = CanonicalMesh(vertices, whole.faces.astype(np.int32))
            self._parts[uid] = tuple(
                ((part.convex_hull.vertices - centre) / longest).astype(np.float32) for part in parts
            )

    def mesh(self, uid: str) -> CanonicalMesh:
        if uid in self._broken:
            raise AssetError(uid, "truncated file")
        return self._meshes[uid]

    def convex_parts(self, uid: str) -> tuple[np.ndarray, ...]:
        return self._parts[uid]


def _record(uid: str) -> AssetRecord:
    return AssetRecord(uid, "test", f"{uid}.glb", "0" * 64, 1, "CC0-1.0", "", "", True, "train")


def box(extents: Sequence[float], centre: Sequence[float] = (0.0, 0.0, 0.0)) -> trimesh.Trimesh:
    return trimesh.creation.box(extents).apply_translation(centre)


def table() -> list[trimesh.Trimesh]:
    """A top on four thin legs: most of its hull is air."""
    legs = [box((0.06, 0.06, 0.7), (x, y, 0.35)) for x in (-0.45, 0.45) for y in (-0.45, 0.45)]
    return [box((1.0, 1.0, 0.06), (0.0, 0.0, 0.73)), *legs]


def hood() -> list[trimesh.Trimesh]:
    """A chest of five plates, open below: the floor closes it."""
    top = box((1.0, 1.0, 0.05), (0.0, 0.0, 0.475))
    along = [box((1.0, 0.05, 1.0), (0.0, y, 0.0)) for y in (-0.475, 0.475)]
    return [top, *along, *(box((0.05, 1.0, 1.0), (x, 0.0, 0.0)) for x in (-0.475, 0.475))]


def solids() -> dict[str, list[trimesh.Trimesh]]:
    return {
        "ball": [trimesh.creation.icosphere(2)],
        "cube": [box((1, 1, 1))],
        "plate": [box((1, 0.8, 0.1))],
        "post": [box((0.2, 0.2, 1.0))],
        "shelf": [box((0.8, 0.3, 0.04), (0, 0, z)) for z in (0.0, 0.3, 0.6)] + [box((0.04, 0.3, 0.64), (0.42, 0, 0.3))],
        "table": table(),
        "tall": [box((0.4, 0.3, 1.0))],
        "wedge": [
            trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        ],
    }


PLAIN = MaterialSpec("plaster", 0)


def room(*sides: str) -> RoomSpec:
    return RoomSpec(7.5, -0.5, 7.5, PLAIN, tuple(WallSpec(side, PLAIN) for side in sides))


def camera(eye, target=(0.0, 0.0, 0.0), fov_deg=60.0, size=(160, 120)) -> CameraSpec:
    return CameraSpec(look_at(eye, target), float(np.radians(fov_deg)), size)


def scene(objects: Sequence[PlacedObject], eye=(5.0, 0.0, 0.5), **lens) -> SceneSpec:
    view = ViewSpec(camera(eye, **lens))
    return SceneSpec(0, 0, room(), LightSpec("sky", 0.0, 1.0), tuple(objects), (view,), SamplingStats(len(objects), 0))
