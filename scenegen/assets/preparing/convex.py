"""Convex collision parts of a canonical mesh: few, small, and never smaller than the surface they stand for.

CoACD divides a simplified mesh into parts. Then the triangles of the true mesh are cut into small pieces; each piece is
given to the nearest part, and each part grows to the hull of its pieces. So every piece of the surface lies inside one
convex part, and two assets whose parts do not touch do not interpenetrate.

V: vertices. F: faces. P: vertices of a part. K: planes.
"""

from dataclasses import dataclass

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.ndimage import binary_fill_holes
from scipy.spatial import ConvexHull, HalfspaceIntersection, QhullError

MAX_PARTS = 12
MAX_PART_VERTICES = 32
# A polytope of K planes has at most 2K - 4 vertices.
MAX_PART_PLANES = MAX_PART_VERTICES // 2 + 2
COACD_THRESHOLD = 0.08
SIMPLIFIED_CELLS = 48
MAX_EDGE = 0.08
SOLIDITY_CELLS = 32
CONVEX_ENOUGH = 0.9
SHELL = 0.5
_STEPS = [(i, j) for i in range(5) for j in range(5 - i)]
SURFACE_SAMPLES = np.array([(i, j, 4 - i - j) for i, j in _STEPS]) / 4
# Flat parts (a sheet of paper) get this half thickness so that hulls and physics have a volume to work with.
MIN_HALF_THICKNESS = 5e-4


@dataclass(frozen=True, slots=True)
class ConvexParts:
    """vertices: (P, 3) float32 of each part, canonical frame. method: "coacd", "hull (why)" or "patches (why)"."""

    vertices: tuple[np.ndarray, ...]
    method: str


def convex_parts(vertices_V3: np.ndarray, faces_F3: np.ndarray) -> ConvexParts:
    """CoACD parts that cover the mesh; one hull if the mesh nearly fills it.

    vertices_V3: float32, canonical frame. faces_F3: int32.
    May take minutes on a bad mesh: run it where it can be killed. Raises ValueError if CoACD finds no part.
    """
    pieces, centroids = _surface_pieces(vertices_V3, faces_F3)
    if solidity(pieces) >= CONVEX_ENOUGH:
        return hull_part(vertices_V3, "convex")
    cores = _coacd(*simplified(vertices_V3, faces_F3))
    return ConvexParts(_grown(cores, pieces, centroids), "coacd")


def solidity(pieces_N33: np.ndarray) -> float:
    """Share of the hull's volume that the mesh fills, on a grid of 32 cells along the longest side.

    pieces_N33: corners of small triangles. Hollows that cannot be reached from outside count as filled, because for
    collisions a closed box is solid.
    """
    corners = pieces_N33.reshape(-1, 3)
    low, cell = corners.min(axis=0), float(np.ptp(corners, axis=0).max()) / SOLIDITY_CELLS
    shape = tuple((np.ceil(np.ptp(corners, axis=0) / cell).astype(int) + 1).tolist())
    filled = np.zeros(shape, bool)
    for weights in SURFACE_SAMPLES:  # dense enough, because a piece spans only a few cells
        filled[tuple(((np.einsum("k,nkx->nx", weights, pieces_N33) - low) / cell).astype(int).T)] = True
    filled = binary_fill_holes(filled)
    centres = low + (np.moveaxis(np.indices(shape), 0, -1).reshape(-1, 3) + 0.5) * cell
    planes = _hull(corners).equations
    inside = np.ones(len(centres), bool)
    for plane in planes:
        inside &= centres @ plane[:3] + plane[3] <= 0
    return float((filled.reshape(-1) & inside).sum() / max(int(inside.sum()), 1))


def hull_part(vertices_V3: np.ndarray, why: str) -> ConvexParts:
    """One hull around all vertices."""
    return ConvexParts((_small_hull(vertices_V3.astype(np.float64)),), f"hull ({why})")


def fallback_parts(vertices_V3: np.ndarray, faces_F3: np.ndarray, why: str) -> ConvexParts:
    """Parts for a mesh on which CoACD fails or takes too long: patches of surface for a thin shell (a cup), else one
    hull.

    Patches leave the inside of a solid empty, so that a small object could be placed in it; therefore only for shells.
    """
    pieces, centroids = _surface_pieces(vertices_V3, faces_F3)
    if solidity(pieces) > SHELL:
        return hull_part(vertices_V3, why)
    normals = np.cross(pieces[:, 1] - pieces[:, 0], pieces[:, 2] - pieces[:, 0])
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    # Both sides of a thin wall belong together, so the sign of a normal must not count: use the matrix n n^T.
    sheet = (normals[:, :, None] * normals[:, None, :])[:, *np.triu_indices(3)]
    _, owner = kmeans2(np.concatenate([centroids, 0.15 * sheet], axis=1), MAX_PARTS, minit="++", seed=0)
    return ConvexParts(_hulls(pieces, owner, MAX_PARTS), f"patches ({why})")


def simplified(vertices_V3: np.ndarray, faces_F3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Merge vertices in the same cell of a 48^3 grid: CoACD's time grows with the faces, and its cuts hardly change."""
    if len(faces_F3) < 2000:
        return vertices_V3, faces_F3
    cells = np.rint(vertices_V3 * SIMPLIFIED_CELLS).astype(np.int64) + SIMPLIFIED_CELLS
    keys = cells @ np.array([1, 1 << 10, 1 << 20])
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    sums = np.zeros((len(first), 3))
    np.add.at(sums, inverse, vertices_V3)
    merged = (sums / np.bincount(inverse)[:, None]).astype(np.float32)
    faces = inverse[faces_F3]
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    _, unique = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    return (merged, faces[np.sort(unique)].astype(np.int32)) if len(unique) else (vertices_V3, faces_F3)


def _coacd(vertices_V3: np.ndarray, faces_F3: np.ndarray) -> list[np.ndarray]:
    import coacd  # heavy, and only preparation needs it

    coacd.set_log_level("off")
    parts = coacd.run_coacd(
        coacd.Mesh(vertices_V3.astype(np.float64), faces_F3.astype(np.int32)),
        threshold=COACD_THRESHOLD,
        max_convex_hull=MAX_PARTS,
        preprocess_mode="on",
        preprocess_resolution=25,
        resolution=1000,
        mcts_nodes=8,
        mcts_iterations=20,
        mcts_max_depth=1,
        max_ch_vertex=MAX_PART_VERTICES,
        decimate=True,
        seed=0,
    )
    if not parts:
        raise ValueError("CoACD found no part")
    return [np.asarray(points, dtype=np.float64) for points, _ in parts]


def _surface_pieces(vertices_V3: np.ndarray, faces_F3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles cut until no edge is longer than MAX_EDGE: ((N, 3, 3) corners, (N, 3) centroids)."""
    corners = vertices_V3[faces_F3].astype(np.float64)
    done = []
    while len(corners):
        edges = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2)
        long = edges.max(axis=1) > MAX_EDGE
        done.append(corners[~long])
        corners, edges = corners[long], edges[long]
        corners = _halved(corners, edges.argmax(axis=1))
    pieces = np.concatenate(done)
    return pieces, pieces.mean(axis=1)


def _halved(corners: np.ndarray, longest: np.ndarray) -> np.ndarray:
    """Cut each triangle in two at the middle of its longest edge (edge i runs from corner i to i + 1)."""
    rows = np.arange(len(corners))
    a, b, c = (corners[rows, (longest + i) % 3] for i in range(3))
    middle = (a + b) / 2
    return np.concatenate([np.stack([a, middle, c], axis=1), np.stack([middle, b, c], axis=1)])


def _grown(cores: list[np.ndarray], pieces_N33: np.ndarray, centroids_N3: np.ndarray) -> tuple[np.ndarray, ...]:
    """The hull of the surface pieces nearest to each of CoACD's parts; parts without a piece are dropped."""
    distance = np.stack([_outside(core, centroids_N3) for core in cores], axis=1)
    return _hulls(pieces_N33, distance.argmin(axis=1), len(cores))


def _hulls(pieces_N33: np.ndarray, owner_N: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
    owned = (pieces_N33[owner_N == index].reshape(-1, 3) for index in range(count))
    return tuple(_small_hull(points) for points in owned if len(points))


def _outside(core_P3: np.ndarray, points_N3: np.ndarray) -> np.ndarray:
    """(N,) signed distance to the hull's nearest violated plane; negative inside."""
    planes = _hull(core_P3).equations
    return (points_N3 @ planes[:, :3].T + planes[:, 3]).max(axis=1)


def _hull(points: np.ndarray) -> ConvexHull:
    """The hull of the points, thickened a little if they are flat."""
    try:
        return ConvexHull(points)
    except QhullError:
        offsets = MIN_HALF_THICKNESS * np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8).T
        return ConvexHull((points[:, None, :] + offsets).reshape(-1, 3))


def _small_hull(points: np.ndarray) -> np.ndarray:
    """(P <= 32, 3) float32: vertices of a convex shape that contains the points.

    The hull itself if it is small enough; else the tightest shape bounded by at most MAX_PART_PLANES of the hull's
    own directions, chosen to differ as much as they can.
    """
    hull = _hull(points)
    solid = hull.points[hull.vertices]
    if len(solid) <= MAX_PART_VERTICES:
        return solid.astype(np.float32)
    normals = _spread_directions(hull, MAX_PART_PLANES)
    offsets = (solid @ normals.T).max(axis=0)
    planes = np.concatenate([normals, -offsets[:, None]], axis=1)
    try:
        corners = HalfspaceIntersection(planes, solid.mean(axis=0)).intersections
        corners = np.unique(np.round(corners, 6), axis=0)
        if np.isfinite(corners).all() and len(corners) >= 4:
            return corners[ConvexHull(corners).vertices].astype(np.float32)
    except QhullError:
        pass  # a needle whose chosen planes do not bound a shape: its bounding box serves as well
    low, high = solid.min(axis=0), solid.max(axis=0)
    return np.array(np.meshgrid(*np.stack([low, high], axis=1))).reshape(3, 8).T.astype(np.float32)


def _spread_directions(hull: ConvexHull, count: int) -> np.ndarray:
    """(count, 3) unit normals: the six axes, then hull faces, each farthest from those chosen, big faces first."""
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    normals = hull.equations[:, :3]
    a, b, c = (hull.points[hull.simplices[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    chosen = list(axes)
    gap = 1.0 - (normals @ axes.T).max(axis=1)
    for _ in range(count - len(axes)):
        best = int((gap * np.sqrt(area + 1e-9)).argmax())
        if gap[best] < 1e-4:
            break
        chosen.append(normals[best])
        gap = np.minimum(gap, 1.0 - normals @ normals[best])
    return np.array(chosen)
