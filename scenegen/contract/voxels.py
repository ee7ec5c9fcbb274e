"""The voxels that a surface touches: exact triangle-box overlap, without a loop over triangles or voxels.

A voxel is the box [i, i + 1) of the grid: it owns its lower faces, as floor() has it for points, so that a surface in
the plane between two voxels belongs to the upper one, and points of a surface fall into its voxels.

By the number of axes along which the bounding box of a triangle crosses a voxel border:
    none or one    every voxel of the bounding box is touched, because a triangle is connected;
    two or three   the separating-axis test of triangle and box (Akenine-Moeller 2001) in the order of Schwarz and
                   Seidel 2010, section 4: of the columns along the axis that the triangle faces most, the ones that
                   its outline reaches; in each, the one to three voxels that its plane passes; of these, the ones that
                   its edges reach in the other two projections.
So the work grows with the surface, not with the volume of bounding boxes.

Shapes: V vertices, F faces, T triangles, K columns or voxels that are tested, N voxels of the surface. What is known
per triangle has the triangles last, so that spreading it over candidates reads memory in order.
Grid coordinates: (p + 0.5) resolution. Axes u, v, w: x, y, z in a triangle's own order, its columns along w.
"""

from collections.abc import Iterator

import numpy as np

from scenegen.contract.objects import GRID

CUBE_MARGIN = 1e-6
"""Vertices are clipped this far inside the cube, so that its far faces fall into the last voxel."""

_COLUMNS_AT_ONCE = 1 << 16  # bounds the memory, and keeps what is worked on in the cache


def surface_voxels(vertices: np.ndarray, faces: np.ndarray, resolution: int = GRID) -> np.ndarray:
    """(N, 3) uint8, the voxels of the grid over [-0.5, 0.5]^3 that a mesh touches, sorted by (x, y, z).

    vertices: (V, 3) float; those outside the cube are moved onto its walls. faces: (F, 3) int. Triangles without area
    count as what they are, segments and points.
    Raises ValueError for a vertex that is not finite, or a grid too fine for uint8.
    """
    if not 0 < resolution <= 256:
        raise ValueError(f"a grid of {resolution} voxels an axis does not fit uint8 indices; choose 1 to 256")
    if not np.isfinite(vertices).all():
        raise ValueError("a mesh with vertices that are not finite has no voxels; mend the mesh")
    inside = np.clip(vertices.astype(np.float64), -0.5 + CUBE_MARGIN, 0.5 - CUBE_MARGIN)
    grid_3V = np.ascontiguousarray(((inside + 0.5) * resolution).T)
    corners_33T = np.stack([grid_3V[:, corner] for corner in np.ascontiguousarray(faces.T)])
    low_3T = corners_33T.min(axis=0).astype(np.int32)  # nothing is negative: this is floor
    span_3T = corners_33T.max(axis=0).astype(np.int32) - low_3T
    stride_3 = np.array([resolution * resolution, resolution, 1], np.int32)
    first_T = stride_3 @ low_3T
    narrow_T = np.count_nonzero(span_3T, axis=0) < 2
    occupied = np.zeros(resolution**3, bool)
    occupied[_box_voxels(first_T[narrow_T], span_3T[:, narrow_T], stride_3)] = True
    wide = np.flatnonzero(~narrow_T)
    for part in _chunks(wide, (span_3T[:, wide] + 1).prod(axis=0)):
        local_33T = corners_33T[..., part] - low_3T[:, part]
        occupied[_touched_voxels(local_33T, first_T[part], span_3T[:, part], stride_3)] = True
    return np.stack(np.unravel_index(np.flatnonzero(occupied), (resolution,) * 3), axis=1).astype(np.uint8)


def _box_voxels(first_T: np.ndarray, span_3T: np.ndarray, stride_3: np.ndarray) -> np.ndarray:
    """[K] flat indices: every voxel of bounding boxes that cross voxel borders along one axis at most."""
    owner_K, step_K = _enumerate(span_3T.sum(axis=0) + 1)
    return first_T[owner_K] + step_K * (stride_3 @ (span_3T > 0))[owner_K]


def _touched_voxels(
    local_33T: np.ndarray, first_T: np.ndarray, span_3T: np.ndarray, stride_3: np.ndarray
) -> np.ndarray:
    """[K] flat indices, with repeats: what triangles that cross borders along two or three axes touch.

    local: corner, axis, triangle; relative to the lowest corner of the first voxel of the bounding box.
    """
    normal_3T = np.cross(local_33T[1] - local_33T[0], local_33T[2] - local_33T[0], axis=0)
    along_T = np.where((span_3T > 0).all(axis=0), np.abs(normal_3T).argmax(axis=0), span_3T.argmin(axis=0))
    axes_3T = (along_T + np.array([[1], [2], [3]])) % 3
    every_T = np.arange(len(along_T))
    u_3T, v_3T, w_3T = (local_33T[:, axis_T, every_T] for axis_T in axes_3T)
    span_3T, normal_3T, stride_3T = span_3T[axes_3T, every_T], normal_3T[axes_3T, every_T], stride_3[axes_3T]

    owner_K, step_K = _enumerate((span_3T[0] + 1) * (span_3T[1] + 1))
    u_K, v_K = np.divmod(step_K, (span_3T[1] + 1)[owner_K])
    reached_K = _reached(u_3T, v_3T, owner_K, u_K, v_K)
    owner_K, u_K, v_K = owner_K[reached_K], u_K[reached_K], v_K[reached_K]

    bottom_K, top_K = _layers((u_3T[0], v_3T[0], w_3T[0]), normal_3T, span_3T[2], owner_K, u_K, v_K)
    column_K, step_K = _enumerate(top_K - bottom_K + 1)
    owner_K, u_K, v_K, w_K = owner_K[column_K], u_K[column_K], v_K[column_K], bottom_K[column_K] + step_K
    voxel_K = first_T[owner_K] + u_K * stride_3T[0, owner_K] + v_K * stride_3T[1, owner_K] + w_K * stride_3T[2, owner_K]
    reached_K = _reached(u_3T, w_3T, owner_K, u_K, w_K) & _reached(v_3T, w_3T, owner_K, v_K, w_K)
    return voxel_K[reached_K]


def _layers(
    corner_3T: tuple[np.ndarray, ...],
    normal_3T: np.ndarray,
    span_T: np.ndarray,
    owner_K: np.ndarray,
    u_K: np.ndarray,
    v_K: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """First and last voxel of each column that the plane of its triangle passes, within the bounding box.

    Of triangles without area the whole column.
    """
    has_plane_T = normal_3T[2] != 0
    slope_2T = -normal_3T[:2] / np.where(has_plane_T, normal_3T[2], 1)
    slope_2T *= (span_T > 0) & has_plane_T  # in one layer nothing is to be found out, and the plane may be upright
    height_T = np.where(span_T > 0, corner_3T[2], 0) - slope_2T[0] * corner_3T[0] - slope_2T[1] * corner_3T[1]
    height_K = height_T[owner_K] + slope_2T[0, owner_K] * u_K + slope_2T[1, owner_K] * v_K
    span_K = span_T[owner_K]
    bottom_K = np.floor(height_K + np.minimum(slope_2T, 0).sum(axis=0)[owner_K]).astype(np.int32).clip(0, span_K)
    top_K = np.floor(height_K + np.maximum(slope_2T, 0).sum(axis=0)[owner_K]).astype(np.int32).clip(0, span_K)
    flat_K = ~has_plane_T[owner_K]
    bottom_K[flat_K], top_K[flat_K] = 0, span_K[flat_K]
    return bottom_K, top_K


def _reached(p_3T: np.ndarray, q_3T: np.ndarray, owner_K: np.ndarray, p_K: np.ndarray, q_K: np.ndarray) -> np.ndarray:
    """[K] bool: does the square [p, p + 1] x [q, q + 1] reach the inner side of every edge of its flat triangle?

    p_3T, q_3T: its corners in the plane of the two axes.
    """
    area_T = (p_3T[1] - p_3T[0]) * (q_3T[2] - q_3T[0]) - (p_3T[2] - p_3T[0]) * (q_3T[1] - q_3T[0])
    turn_T = np.where(area_T < 0, -1.0, 1.0)
    reached_K = np.ones(len(owner_K), bool)
    for start, end in ((0, 1), (1, 2), (2, 0)):
        inward_p_T = (q_3T[start] - q_3T[end]) * turn_T
        inward_q_T = (p_3T[end] - p_3T[start]) * turn_T
        offset_T = np.maximum(inward_p_T, 0) + np.maximum(inward_q_T, 0)
        offset_T -= inward_p_T * p_3T[start] + inward_q_T * q_3T[start]
        reached_K &= inward_p_T[owner_K] * p_K + inward_q_T[owner_K] * q_K + offset_T[owner_K] >= 0
    return reached_K


def _enumerate(counts_T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Owner and running number of each of counts[0] + counts[1] + ... things."""
    owner_K = np.repeat(np.arange(len(counts_T)), counts_T)
    start_T = (counts_T.cumsum() - counts_T).astype(np.int32)
    return owner_K, np.arange(len(owner_K), dtype=np.int32) - start_T[owner_K]


def _chunks(items: np.ndarray, sizes: np.ndarray) -> Iterator[np.ndarray]:
    """Consecutive parts of `items` with about equal sums of sizes."""
    total = sizes.cumsum()
    borders = np.arange(_COLUMNS_AT_ONCE, total[-1] if len(total) else 0, _COLUMNS_AT_ONCE)
    return (part for part in np.split(items, np.searchsorted(total, borders)) if len(part))
