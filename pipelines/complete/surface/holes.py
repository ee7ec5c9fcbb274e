"""Closing of small holes: the loops of edges that belong to one face only.

Shapes: V vertices, F faces, E edges, L edges of a loop.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipelines.complete.results import ColouredMesh

MAX_EDGES = 55
"""Longer loops are openings, not holes (the limit of the released pipeline)."""


def without_small_holes(mesh: ColouredMesh) -> ColouredMesh:
    """Each small hole is filled by a fan of faces around the middle of its rim, in the mean colour of the rim."""
    loops = [loop for loop in _loops(mesh.faces_F3) if len(loop) <= MAX_EDGES]
    if not loops:
        return mesh
    first = len(mesh.vertices_V3)
    fans = [
        np.stack([np.roll(loop, -1), loop, np.full(len(loop), first + number)], axis=1)
        for number, loop in enumerate(loops)
    ]
    middles = np.stack([mesh.vertices_V3[loop].mean(0) for loop in loops])
    colours = mesh.colours_V3
    if colours is not None:
        means = np.stack([colours[loop].mean(0).round() for loop in loops])
        colours = np.concatenate([colours, means.astype(colours.dtype)])
    return replace(
        mesh,
        vertices_V3=np.concatenate([mesh.vertices_V3, middles.astype(mesh.vertices_V3.dtype)]),
        faces_F3=np.concatenate([mesh.faces_F3, *fans]),
        colours_V3=colours,
    )


def _loops(faces_F3: np.ndarray) -> list[np.ndarray]:
    """Closed rims as vertex indices, in the direction of their faces. Rims that touch themselves are left out."""
    edges_E2 = np.concatenate([faces_F3[:, [0, 1]], faces_F3[:, [1, 2]], faces_F3[:, [2, 0]]]).astype(np.int64)
    size = int(faces_F3.max()) + 1
    forth, back = edges_E2[:, 0] * size + edges_E2[:, 1], edges_E2[:, 1] * size + edges_E2[:, 0]
    rim_E2 = edges_E2[~np.isin(forth, back)]
    starts, counts = np.unique(rim_E2[:, 0], return_counts=True)
    follows = dict(rim_E2[np.isin(rim_E2[:, 0], starts[counts == 1])].tolist())
    loops = []
    while follows:
        start, vertex = follows.popitem()
        loop = [start]
        while vertex != start and vertex in follows:
            loop.append(vertex)
            vertex = follows.pop(vertex)
        if vertex == start and len(loop) > 2:
            loops.append(np.array(loop))
    return loops
