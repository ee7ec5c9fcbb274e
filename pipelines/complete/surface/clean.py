"""Cleaning of a decoded mesh: its hidden faces removed, its small holes closed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipelines.complete.results import ColouredMesh
from pipelines.complete.surface.hidden import visible_faces
from pipelines.complete.surface.holes import without_small_holes


def cleaned(mesh: ColouredMesh) -> ColouredMesh:
    """The faces that can be seen from outside, with small holes closed. Vertices without a face are removed."""
    faces_F3 = mesh.faces_F3[visible_faces(mesh.vertices_V3, mesh.faces_F3)]
    if len(faces_F3) < len(mesh.faces_F3):
        used, numbers = np.unique(faces_F3, return_inverse=True)
        colours = None if mesh.colours_V3 is None else mesh.colours_V3[used]
        mesh = replace(mesh, vertices_V3=mesh.vertices_V3[used], faces_F3=numbers.reshape(-1, 3), colours_V3=colours)
    return without_small_holes(mesh)
