"""An independent check of a scene for interpenetration: on the triangle meshes, with another engine (FCL)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import fcl
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from scenegen.contract.records import FLOOR_ID, WALL_ID
from scenegen.layout.shapes import Library, world_mesh
from scenegen.layout.spec import SceneSpec

PLANE_TOLERANCE_M = 1e-4
"""How far the single precision of a mesh may put an object below the floor."""
DEPTH_STEP_M = 1e-4
SEPARATING_DIRECTIONS = 8
INSIDE_WINDING = 0.75
"""The winding number is 1 inside a closed mesh; 0.75 tolerates holes, but not a missing side."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Two objects, or an object and a plane, that overlap.

    kind: "interpenetration" (surfaces cross), "containment" (first is inside second), "floor" or "wall".
    first_id, second_id: instance ids. depth_m: how far the first must move to be free, an upper bound.
    """

    kind: str
    first_id: int
    second_id: int
    depth_m: float


@dataclass(frozen=True, slots=True)
class _Solid:
    instance_id: int
    vertices: np.ndarray
    faces: np.ndarray
    shape: fcl.CollisionObject

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.vertices.min(axis=0), self.vertices.max(axis=0)


def audit_scene(spec: SceneSpec, library: Library) -> tuple[Finding, ...]:
    """All overlaps in the scene; none for a correct scene.

    Raises AssetError if a mesh cannot be read.
    """
    solids = []
    for placed in spec.objects:
        mesh = world_mesh(library.mesh(placed.asset_uid), placed)
        solids.append(_solid(placed.instance_id, mesh.vertices, mesh.faces))
    return (*_through_planes(spec, solids), *_through_each_other(solids))


def _solid(instance_id: int, vertices: np.ndarray, faces: np.ndarray) -> _Solid:
    model = fcl.BVHModel()
    model.beginModel(len(vertices), len(faces))
    model.addSubModel(vertices, faces.astype(np.int64))
    model.endModel()
    return _Solid(instance_id, vertices, faces, fcl.CollisionObject(model, fcl.Transform()))


def _through_planes(spec: SceneSpec, solids: list[_Solid]) -> Iterator[Finding]:
    """Objects must be on one side of the planes of floor and walls: the farthest vertex decides."""
    half = spec.room.floor_size_m / 2.0
    for solid in solids:
        low, high = solid.bounds
        below = float(spec.room.floor_z_m - low[2])
        if below > PLANE_TOLERANCE_M:
            yield Finding("floor", solid.instance_id, FLOOR_ID, below)
        for wall in spec.room.walls:
            axis = "xy".index(wall.side[0])
            beyond = float((high[axis] if wall.side[1] == "+" else -low[axis]) - half)
            if beyond > PLANE_TOLERANCE_M:
                yield Finding("wall", solid.instance_id, WALL_ID, beyond)


def _through_each_other(solids: list[_Solid]) -> Iterator[Finding]:
    for a, b in combinations(solids, 2):
        (low_a, high_a), (low_b, high_b) = a.bounds, b.bounds
        if (low_a > high_b).any() or (low_b > high_a).any():
            continue
        if _collide(a, b):
            yield Finding("interpenetration", a.instance_id, b.instance_id, _depth(a, b))
        elif _is_inside(a, b):
            yield Finding("containment", a.instance_id, b.instance_id, _depth_of_containment(a, b))
        elif _is_inside(b, a):
            yield Finding("containment", b.instance_id, a.instance_id, _depth_of_containment(b, a))


def _collide(a: _Solid, b: _Solid, moved_m: np.ndarray | None = None) -> bool:
    a.shape.setTransform(fcl.Transform(moved_m) if moved_m is not None else fcl.Transform())
    try:
        return bool(fcl.collide(a.shape, b.shape, fcl.CollisionRequest(), fcl.CollisionResult()))
    finally:
        a.shape.setTransform(fcl.Transform())


def _depth(a: _Solid, b: _Solid) -> float:
    """The shortest of several horizontal moves and an upward one that separate a from b."""
    turns = np.arange(SEPARATING_DIRECTIONS) * (2.0 * np.pi / SEPARATING_DIRECTIONS)
    directions = [np.array([np.cos(t), np.sin(t), 0.0]) for t in turns] + [np.array([0.0, 0.0, 1.0])]
    return min(_distance_to_free(a, b, direction) for direction in directions)


def _distance_to_free(a: _Solid, b: _Solid, direction: np.ndarray) -> float:
    stuck, free = 0.0, DEPTH_STEP_M
    while _collide(a, b, free * direction):
        stuck, free = free, 2.0 * free
    while free - stuck > DEPTH_STEP_M:
        middle = (stuck + free) / 2.0
        stuck, free = (middle, free) if _collide(a, b, middle * direction) else (stuck, middle)
    return free


def _depth_of_containment(inner: _Solid, outer: _Solid) -> float:
    """The horizontal move along an axis that takes the inner box out of the outer one."""
    (low_in, high_in), (low_out, high_out) = inner.bounds, outer.bounds
    return float(np.minimum(high_out - low_in, high_in - low_out)[:2].min())


def _is_inside(inner: _Solid, outer: _Solid) -> bool:
    """Is a connected piece of `inner` inside `outer`? For pairs whose surfaces do not cross.

    Decided by the winding number, which also works for meshes that are not quite closed.
    """
    low, high = outer.bounds
    points = inner.vertices[_one_vertex_per_piece(inner)]
    points = points[((points > low) & (points < high)).all(axis=1)]
    return any(abs(winding_number(point, outer.vertices[outer.faces])) > INSIDE_WINDING for point in points)


def _one_vertex_per_piece(solid: _Solid) -> np.ndarray:
    """Indices of one used vertex of each connected piece of the mesh."""
    edges = solid.faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    count = len(solid.vertices)
    graph = coo_matrix((np.ones(len(edges), dtype=bool), (edges[:, 0], edges[:, 1])), shape=(count, count))
    labels = connected_components(graph, directed=False)[1]
    used = np.unique(solid.faces)
    return used[np.unique(labels[used], return_index=True)[1]]


def winding_number(point: np.ndarray, triangles: np.ndarray) -> float:
    """How often triangles (F, 3, 3) wrap around a point (3,): 1 inside a closed mesh, 0 outside.

    Sum of signed solid angles (Van Oosterom and Strackee 1983) over the full sphere.
    """
    a, b, c = np.moveaxis(triangles - point, 1, 0)
    la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
    volume = np.einsum("ij,ij->i", a, np.cross(b, c))
    dots = [np.einsum("ij,ij->i", p, q) for p, q in ((a, b), (b, c), (c, a))]
    halves = np.arctan2(volume, la * lb * lc + dots[0] * lc + dots[1] * la + dots[2] * lb)
    return float(halves.sum() / (2.0 * np.pi))
