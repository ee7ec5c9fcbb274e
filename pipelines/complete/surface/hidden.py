"""Hidden faces: those that look into a closed cavity.

A mesh decoder knows only the voxels near the surface, so that a solid object is decoded as a thin shell with a second
surface inside. The released pipeline finds that one by rendering a thousand views. Here a flood fill from the border of
a grid finds the empty cells outside, and a face is visible if the first empty cell in front of it is one of them.

Shapes: V vertices, F faces, P points, R cells along an edge of the grid.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, sparse

CELLS = 128  # along the unit cube
PAD = 4  # empty cells around it
REACH = np.arange(0.5, 4.0, 0.5)  # distances in front of a face, in cells, at which an empty cell is looked for
WALL = np.ones((3, 3, 3), bool)  # walls are dilated by this, so that the fill passes only gaps of more than two cells


def visible_faces(vertices_V3: np.ndarray, faces_F3: np.ndarray) -> np.ndarray:
    """(F,) bool. vertices_V3: in [-0.5, 0.5]^3. faces_F3: counter-clockwise from outside."""
    corners_F33 = vertices_V3[faces_F3].astype(np.float64)
    solid_RRR = ndimage.binary_dilation(_walls(corners_F33), WALL)
    empty_RRR, _ = ndimage.label(~solid_RRR)
    first_F = _first_empty(corners_F33, empty_RRR)
    outside = empty_RRR[0, 0, 0]
    return _spread(np.where(first_F == 0, 0, np.where(first_F == outside, 1, -1)), faces_F3) >= 0


def _walls(corners_F33: np.ndarray) -> np.ndarray:
    """(R, R, R) bool: cells with a point of the surface, which is sampled at half the size of a cell."""
    edge = 1 + 2 * PAD / CELLS
    walls_RRR = np.zeros((CELLS + 2 * PAD,) * 3, bool)
    sides_F33 = corners_F33 - np.roll(corners_F33, 1, axis=1)
    longest_F = np.sqrt(np.einsum("fsx,fsx->fs", sides_F33, sides_F33).max(1))
    parts_F = np.ceil(2 * CELLS * longest_F).clip(1, 2 * CELLS * edge).astype(int)
    for parts in np.unique(parts_F):
        points_P3 = np.einsum("kc,fcx->fkx", _barycentric(int(parts)), corners_F33[parts_F == parts]).reshape(-1, 3)
        walls_RRR[_cell(points_P3)] = True
    return walls_RRR


def _barycentric(parts: int) -> np.ndarray:
    """(K, 3) barycentric coordinates of an even grid in a triangle whose edges have this number of parts."""
    a, b = np.meshgrid(np.arange(parts + 1), np.arange(parts + 1), indexing="ij")
    inside = a + b <= parts
    a, b = a[inside], b[inside]
    return np.stack([a, b, parts - a - b], axis=1) / parts


def _cell(points_P3: np.ndarray) -> tuple[np.ndarray, ...]:
    index_P3 = np.floor((points_P3 + 0.5) * CELLS).astype(int) + PAD
    return tuple(index_P3.clip(0, CELLS + 2 * PAD - 1).T)


def _first_empty(corners_F33: np.ndarray, empty_RRR: np.ndarray) -> np.ndarray:
    """(F,) the label of the first empty cell along the normal of a face; 0 where there is none, as in a crease."""
    normal_F3 = np.cross(corners_F33[:, 1] - corners_F33[:, 0], corners_F33[:, 2] - corners_F33[:, 0])
    normal_F3 /= np.sqrt(np.einsum("fx,fx->f", normal_F3, normal_F3))[:, None].clip(1e-12)
    middle_F3 = np.einsum("fcx->fx", corners_F33) / 3
    found_F = np.zeros(len(corners_F33), empty_RRR.dtype)
    for cells in REACH:
        label_F = empty_RRR[_cell(middle_F3 + normal_F3 * (cells / CELLS))]
        found_F = np.where(found_F == 0, label_F, found_F)
    return found_F


def _spread(known_F: np.ndarray, faces_F3: np.ndarray) -> np.ndarray:
    """(F,) 1 visible, -1 hidden. Unknown faces (0) get the majority of their neighbours, starting at the known ones."""
    count = len(faces_F3)
    touches_VF = sparse.csr_matrix(
        (np.ones(3 * count), (faces_F3.ravel(), np.repeat(np.arange(count), 3))), shape=(faces_F3.max() + 1, count)
    )
    known_F = known_F.astype(np.float64)
    while True:
        votes_F = np.sign(touches_VF.T @ (touches_VF @ known_F)) * (known_F == 0)
        if not votes_F.any():
            return known_F
        known_F += votes_F
