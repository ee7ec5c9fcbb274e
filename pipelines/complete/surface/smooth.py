"""Smoothing of a mesh: takes off the stairs that voxels leave."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipelines.complete.results import ColouredMesh

STEPS = 40
"""Of Taubin's filter, whose steps shrink and inflate the mesh in turn."""


def smoothed(mesh: ColouredMesh) -> ColouredMesh:
    """The same faces and colours. Vertices move by less than a voxel, and walls do not become thinner."""
    import trimesh  # takes as long to import as all that is ours, and is needed at the end alone

    surface = trimesh.Trimesh(mesh.vertices_V3, mesh.faces_F3, process=False)
    trimesh.smoothing.filter_taubin(surface, lamb=0.5, nu=0.53, iterations=STEPS)
    return replace(mesh, vertices_V3=np.asarray(surface.vertices, mesh.vertices_V3.dtype))
