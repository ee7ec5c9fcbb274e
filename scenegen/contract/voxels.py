"""The voxels that a surface touches: exact triangle-box overlap, without a loop over triangles or voxels.

A voxel is the box [i, i + 1) of the grid. It includes its lower faces, as floor() does for points: a surface in the
plane between two voxels belongs to the upper one, and the points of a surface fall into its voxels.

The separating-axis test of triangle and box (Akenine-Moeller 2001; Schwarz and Seidel 2010, section 4) decides. Most
triangles do not need it. By the bounding box of a triangle, counted in voxels:
    along one axis   every voxel of the box is touched, because a triangle is connected;
    up to 3 x 3 x 3  its voxels are tested, except those that contain a vertex of the mesh: nearly all in a fine mesh;
    larger           columns along the axis that the triangle faces most: those that its outline reaches, in each the
                     one to three voxels that its plane crosses, and of these the ones that its edges reach.
                     What an edge reaches in a row of voxels is one interval, so that rows are tested, not voxels.
So the work grows with the surface, not with the volume of bounding boxes.

Shapes: V vertices, F faces, T triangles, R rows (a triangle and a layer of its bounding box), K candidates (a triangle
and a voxel or column), N voxels of the surface.
Arrays about triangles have the triangles on the last axis, so that gathering them for candidates reads memory in order.
Grid coordinates: (p + 0.5) resolution. A voxel is known by its flat index in the grid.
"""

from collections.abc import Iterator

import numpy as np

from scenegen.contract.objects import GRID

CUBE_MARGIN = 1e-6
"""Vertices are clipped to this far inside the cube, so that points on its upper faces fall into the last voxel."""

_COLUMNS_AT_ONCE = 1 << 16  # limits memory, and keeps the working set in the cache
_OFFSETS_273 = np.stack(np.meshgrid(*[np.arange(3, dtype=np.int32)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
_WITHIN_27_27 = (_OFFSETS_273[None] <= _OFFSETS_273[:, None]).all(axis=2)  # [span, offset], both as base-3 numbers
_SURE = 1e-6  # voxels: rounding errors do not move a bound across an integer that is farther away,
_STEEP = 1e-3  # if its edge rises at least this much in a voxel (errors: 1e-10 voxels / slope)
_BEYOND = 512.0  # voxels: farther than any grid


def surface_voxels(vertices: np.ndarray, faces: np.ndarray, resolution: int = GRID) -> np.ndarray:
    """(N, 3) uint8, the voxels of the grid over [-0.5, 0.5]^3 that a mesh touches, sorted by (x, y, z).

    vertices: (V, 3) float; those outside the cube are moved onto its faces. faces: (F, 3) int. Triangles without area
    count as segments and points.
    Raises ValueError for a vertex that is not finite, or a grid too fine for uint8.
    """
    if not 0 < resolution <= 256:
        raise ValueError(f"a grid of {resolution} voxels an axis does not fit uint8 indices; choose 1 to 256")
    if not np.isfinite(vertices).all():
        raise ValueError("a mesh with vertices that are not finite has no voxels; mend the mesh")
    inside = np.clip(vertices.T.astype(np.float64, order="C"), -0.5 + CUBE_MARGIN, 0.5 - CUBE_MARGIN)
    grid_3V, faces_3F = (inside + 0.5) * resolution, np.ascontiguousarray(faces.T)
    cell_V4 = np.zeros((len(vertices), 4), np.uint8)
    cell_V4[:, :3] = grid_3V.T  # nothing is negative: this is floor
    low_3F, span_3F = _bounding_boxes(cell_V4, faces_3F)
    crossed_F, longest_F = (span_3F > 0).view(np.int8).sum(axis=0, dtype=np.int8), span_3F.max(axis=0)

    stride_3 = np.array([resolution * resolution, resolution, 1], np.int32)
    first_F = stride_3 @ low_3F
    occupied = np.zeros(resolution**3 + 2 * int(stride_3.sum()), bool)  # room for offsets that lead out of the grid
    used_V = np.zeros(len(vertices), bool)
    used_V[faces_3F] = True
    occupied[cell_V4[used_V, :3] @ stride_3] = True
    thin = np.flatnonzero((crossed_F == 1) & (longest_F > 1))
    occupied[_box_voxels(first_F[thin], span_3F[:, thin].astype(np.int32), stride_3)] = True

    def corners(chosen: np.ndarray) -> np.ndarray:
        """[corner, axis, triangle], relative to the first voxel of the bounding box."""
        return np.stack([grid_3V[:, corner] for corner in faces_3F[:, chosen]]) - low_3F[:, chosen]

    small = np.flatnonzero((crossed_F > 1) & (longest_F < 3))
    step_27 = _OFFSETS_273 @ stride_3
    open_TK = _WITHIN_27_27[np.array([9, 3, 1], np.uint8) @ span_3F[:, small]]
    open_TK &= ~occupied.take(first_F[small][:, None] + step_27)
    undecided_T = np.flatnonzero(open_TK.any(axis=1))
    small, open_TK = small[undecided_T], open_TK[undecided_T]
    owner_K, offset_K = _touched_offsets(corners(small), open_TK)
    occupied[first_F[small[owner_K]] + step_27[offset_K]] = True

    large = np.flatnonzero((crossed_F > 1) & (longest_F > 2))
    sides_3L = np.sort(span_3F[:, large].astype(np.int32) + 1, axis=0)
    for part in _chunks(large, sides_3L[1] * sides_3L[2]):
        voxel_K = _column_voxels(corners(part), first_F[part], span_3F[:, part].astype(np.int32), stride_3)
        occupied[voxel_K] = True
    return np.stack(np.unravel_index(np.flatnonzero(occupied[: resolution**3]), (resolution,) * 3), axis=1).astype(
        np.uint8
    )


def _bounding_boxes(cell_V4: np.ndarray, faces_3F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First voxel, and number of further voxels along each axis, of the boxes around triangles: [3, F] uint8.

    cell_V4: uint8, the voxel of each vertex and a zero; four bytes are gathered as one word.
    """
    word_V = cell_V4.view(np.uint32)[:, 0]
    a_4F, b_4F, c_4F = (word_V[corner_F].view(np.uint8) for corner_F in faces_3F)
    low_4F = np.minimum(np.minimum(a_4F, b_4F), c_4F)
    span_4F = np.maximum(np.maximum(a_4F, b_4F), c_4F) - low_4F
    low_3F, span_3F = (np.ascontiguousarray(each.reshape(-1, 4).T[:3]) for each in (low_4F, span_4F))
    return low_3F, span_3F


def _box_voxels(first_T: np.ndarray, span_3T: np.ndarray, stride_3: np.ndarray) -> np.ndarray:
    """[K]: every voxel of bounding boxes that span several voxels along one axis only."""
    owner_K, step_K = _enumerate(span_3T.sum(axis=0) + 1)
    return first_T[owner_K] + step_K * (stride_3 @ (span_3T > 0))[owner_K]


def _touched_offsets(local_33T: np.ndarray, open_TK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangle and offset of the candidates that are touched. The plane is tested first, because most fail there."""
    normal_3T = _normals(local_33T)
    base_T = (normal_3T * local_33T[0]).sum(axis=0)
    low_T, high_T = base_T - np.maximum(normal_3T, 0).sum(axis=0), base_T - np.minimum(normal_3T, 0).sum(axis=0)
    owner_K, offset_K = open_TK.nonzero()
    x_K, y_K, z_K = _OFFSETS_273.T.astype(np.float64)[:, offset_K]
    height_K = normal_3T[0, owner_K] * x_K + normal_3T[1, owner_K] * y_K + normal_3T[2, owner_K] * z_K
    reached_K = (height_K >= low_T[owner_K]) & (height_K <= high_T[owner_K])
    owner_K, offset_K = owner_K[reached_K], offset_K[reached_K]
    for p, q in ((0, 1), (1, 2), (2, 0)):
        p_K, q_K = _OFFSETS_273[offset_K, p], _OFFSETS_273[offset_K, q]
        reached_K = np.ones(len(owner_K), bool)
        for inward_p_T, inward_q_T, offset_T in _edges(local_33T[:, p], local_33T[:, q]):
            reached_K &= inward_p_T[owner_K] * p_K + inward_q_T[owner_K] * q_K + offset_T[owner_K] >= 0
        owner_K, offset_K = owner_K[reached_K], offset_K[reached_K]
    return owner_K, offset_K


def _normals(local_33T: np.ndarray) -> np.ndarray:
    """[3, T]: cross products of the first two edges; several times quicker than np.cross."""
    a_3T, b_3T = local_33T[1] - local_33T[0], local_33T[2] - local_33T[0]
    return np.stack([a_3T[y] * b_3T[z] - a_3T[z] * b_3T[y] for y, z in ((1, 2), (2, 0), (0, 1))])


def _column_voxels(local_33T: np.ndarray, first_T: np.ndarray, span_3T: np.ndarray, stride_3: np.ndarray) -> np.ndarray:
    """[K], with repeats: the voxels that triangles touch.

    Axes u, v, w: x, y, z in a triangle's own order, columns along w. R: rows of columns with the same u; Q: with the
    same v.
    """
    normal_3T = _normals(local_33T)
    along_T = np.where((span_3T > 0).all(axis=0), np.abs(normal_3T).argmax(axis=0), span_3T.argmin(axis=0))
    axes_3T = (along_T + np.array([[1], [2], [3]])) % 3
    every_T = np.arange(len(along_T))
    u_3T, v_3T, w_3T = (local_33T[:, axis_T, every_T] for axis_T in axes_3T)
    span_3T, normal_3T, stride_3T = span_3T[axes_3T, every_T], normal_3T[axes_3T, every_T], stride_3[axes_3T]

    owner_R, u_R = _enumerate(span_3T[0] + 1)
    owner_Q, v_Q = _enumerate(span_3T[1] + 1)
    v_first_R, v_last_R = _interval(u_3T, v_3T, owner_R, u_R, span_3T[1])
    w_first_R, w_last_R = _interval(u_3T, w_3T, owner_R, u_R, span_3T[2])
    w_first_Q, w_last_Q = _interval(v_3T, w_3T, owner_Q, v_Q, span_3T[2])

    row_K, step_K = _enumerate(np.maximum(v_last_R - v_first_R + 1, 0))
    v_K = v_first_R[row_K] + step_K
    across_K = (np.cumsum(span_3T[1] + 1) - (span_3T[1] + 1))[owner_R][row_K] + v_K  # the row of this v
    bottom_K, top_K = _layers((u_3T[0], v_3T[0], w_3T[0]), normal_3T, span_3T[2], owner_R, u_R, row_K, v_K)
    np.maximum(bottom_K, np.maximum(w_first_R[row_K], w_first_Q[across_K]), out=bottom_K)
    np.minimum(top_K, np.minimum(w_last_R[row_K], w_last_Q[across_K]), out=top_K)

    origin_R, stride_3R = first_T[owner_R] + u_R * stride_3T[0, owner_R], stride_3T[:, owner_R]
    lowest_K = origin_R[row_K] + v_K * stride_3R[1, row_K] + bottom_K * stride_3R[2, row_K]
    column_K, step_K = _enumerate(np.maximum(top_K - bottom_K + 1, 0))
    return lowest_K[column_K] + step_K * stride_3R[2, row_K][column_K]


def _layers(
    corner_3T: tuple[np.ndarray, np.ndarray, np.ndarray],
    normal_3T: np.ndarray,
    span_T: np.ndarray,
    owner_R: np.ndarray,
    u_R: np.ndarray,
    row_K: np.ndarray,
    v_K: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """First and last voxel of each column that the plane of its triangle crosses, within the bounding box.

    For triangles without area the whole column.
    """
    has_plane_T = normal_3T[2] != 0
    slope_2T = -normal_3T[:2] / np.where(has_plane_T, normal_3T[2], 1)
    slope_2T *= (span_T > 0) & has_plane_T  # one layer needs no slope, and its plane may be vertical
    height_T = np.where(span_T > 0, corner_3T[2], 0) - slope_2T[0] * corner_3T[0] - slope_2T[1] * corner_3T[1]
    down_T = np.where(has_plane_T, np.minimum(slope_2T, 0).sum(axis=0), -_BEYOND)
    up_T = np.where(has_plane_T, np.maximum(slope_2T, 0).sum(axis=0), _BEYOND)
    height_R = height_T[owner_R] + slope_2T[0, owner_R] * u_R
    height_K = height_R[row_K] + slope_2T[1, owner_R][row_K] * v_K
    bottom_K = np.floor(height_K + down_T[owner_R][row_K]).astype(np.int32)
    top_K = np.floor(height_K + up_T[owner_R][row_K]).astype(np.int32)
    return np.minimum(bottom_K, span_T[owner_R][row_K]), np.maximum(top_K, 0)


def _interval(
    p_3T: np.ndarray, q_3T: np.ndarray, owner_R: np.ndarray, p_R: np.ndarray, span_T: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """First and last q, from 0 to the span, of the squares [p, p + 1] x [q, q + 1] that reach their flat triangle.

    A first q after the last one stands for none. p_3T, q_3T: corners in the plane of the two axes.
    """
    last_R = span_T[owner_R]
    first_R, beyond_R = np.zeros_like(last_R), last_R + 1
    for inward_p_T, inward_q_T, offset_T in _edges(p_3T, q_3T):
        with np.errstate(divide="ignore", invalid="ignore"):
            slope_T = np.where(np.abs(inward_q_T) > _STEEP, -inward_q_T, np.nan)
            bound_R = (inward_p_T / slope_T)[owner_R] * p_R + (offset_T / slope_T)[owner_R]
        rising_R = (inward_q_T > 0)[owner_R]
        sure_R = np.abs(bound_R - np.rint(bound_R)) > _SURE  # false where it is not a number
        inside_R = np.clip(np.where(sure_R, bound_R, 0), -1, beyond_R)
        low_R = np.where(rising_R, np.ceil(inside_R), 0).astype(np.int32)
        high_R = np.where(rising_R, beyond_R, np.floor(inside_R)).astype(np.int32)
        unsure = np.flatnonzero(~sure_R)
        if len(unsure):
            owner_U, rising_U, most_U = owner_R[unsure], rising_R[unsure], span_T[owner_R[unsure]]
            q_Q = np.arange(most_U.max() + 1)
            fixed_U = inward_p_T[owner_U] * p_R[unsure]
            reached_UQ = fixed_U[:, None] + inward_q_T[owner_U, None] * q_Q + offset_T[owner_U, None] >= 0
            count_U = (reached_UQ & (q_Q <= most_U[:, None])).sum(axis=1)
            low_R[unsure] = np.where(rising_U, most_U + 1 - count_U, 0)
            high_R[unsure] = np.where(rising_U, most_U, count_U - 1)
        np.maximum(first_R, low_R, out=first_R)
        np.minimum(last_R, high_R, out=last_R)
    return first_R, last_R


def _edges(p_3T: np.ndarray, q_3T: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each edge of flat triangles the coefficients [T] of the test inward_p p + inward_q q + offset >= 0.

    It holds for the squares [p, p + 1] x [q, q + 1] that reach the inner side of the edge.
    """
    area_T = (p_3T[1] - p_3T[0]) * (q_3T[2] - q_3T[0]) - (p_3T[2] - p_3T[0]) * (q_3T[1] - q_3T[0])
    turn_T = np.where(area_T < 0, -1.0, 1.0)
    for start, end in ((0, 1), (1, 2), (2, 0)):
        inward_p_T = (q_3T[start] - q_3T[end]) * turn_T
        inward_q_T = (p_3T[end] - p_3T[start]) * turn_T
        offset_T = np.maximum(inward_p_T, 0) + np.maximum(inward_q_T, 0)
        offset_T -= inward_p_T * p_3T[start] + inward_q_T * q_3T[start]
        yield inward_p_T, inward_q_T, offset_T


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
