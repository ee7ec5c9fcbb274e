"""Which faces nobody can see: those that look into a cavity without a way out.

A mesh decoder knows the surface and the voxels around it alone, so that a solid object comes out as a thin shell with a
second surface inside. The released pipeline finds it by rendering a thousand views; here air is let in instead: empty
cells that air reaches from the border are outside, and a face is seen if the first empty cell before it is one of them.

Shapes: V vertices, F faces, P points, R cells along an edge of the grid.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, sparse

CELLS = 128  # along the unit cube
PAD = 4  # empty cells around it
REACH = np.arange(0.5, 4.0, 0.5)  # cells before a face in which its air is looked for
WALL = np.ones((3, 3, 3), bool)  # walls are this much thicker, so that air needs a gap of more than two cells


def seen_faces(vertices_V3: np.ndarray, faces_F3: np.ndarray) -> np.ndarray:
    """(F,) bool. vertices_V3: in [-0.5, 0.5]^3. faces_F3: counter-clockwise from outside."""
    corners_F33 = vertices_V3[faces_F3].astype(np.float64)
    solid_RRR = ndimage.binary_dilation(_walls(corners_F33), WALL)
    air_RRR, _ = ndimage.label(~solid_RRR)
    first_F = _first_air(corners_F33, air_RRR)
    outside = air_RRR[0, 0, 0]
    return _spread(np.where(first_F == 0, 0, np.where(first_F == outside, 1, -1)), faces_F3) >= 0


def _walls(corners_F33: np.ndarray) -> np.ndarray:
    """(R, R, R) bool: cells with a point of the surface, which is sampled twice as finely as the cells are."""
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
    """(K, 3) even coordinates in a triangle whose edges have so many parts."""
    a, b = np.meshgrid(np.arange(parts + 1), np.arange(parts + 1), indexing="ij")
    inside = a + b <= parts
    a, b = a[inside], b[inside]
    return np.stack([a, b, parts - a - b], axis=1) / parts


def _cell(points_P3: np.ndarray) -> tuple[np.ndarray, ...]:
    index_P3 = np.floor((points_P3 + 0.5) * CELLS).astype(int) + PAD
    return tuple(index_P3.clip(0, CELLS + 2 * PAD - 1).T)


def _first_air(corners_F33: np.ndarray, air_RRR: np.ndarray) -> np.ndarray:
    """(F,) the air that is met first on the way out of a face; 0 where the way is walled up, as in a crease."""
    normal_F3 = np.cross(corners_F33[:, 1] - corners_F33[:, 0], corners_F33[:, 2] - corners_F33[:, 0])
    normal_F3 /= np.sqrt(np.einsum("fx,fx->f", normal_F3, normal_F3))[:, None].clip(1e-12)
    middle_F3 = np.einsum("fcx->fx", corners_F33) / 3
    found_F = np.zeros(len(corners_F33), air_RRR.dtype)
    for cells in REACH:
        air_F = air_RRR[_cell(middle_F3 + normal_F3 * (cells / CELLS))]
        found_F = np.where(found_F == 0, air_F, found_F)
    return found_F


def _spread(known_F: np.ndarray, faces_F3: np.ndarray) -> np.ndarray:
    """(F,) 1 seen, -1 hidden; what is unknown (0) takes the side of its neighbours, step by step from the known."""
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
