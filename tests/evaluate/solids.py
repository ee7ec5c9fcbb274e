"""Shapes whose distances, overlaps and areas have closed forms."""

import numpy as np
import trimesh

from pipelines.evaluate.records.shapes import Shape


def box(size=(1.0, 1.0, 1.0), centre=(0.0, 0.0, 0.0), color=None) -> Shape:
    mesh = trimesh.creation.box(size)
    return _shape(mesh.vertices + np.array(centre), mesh.faces, color)


def sphere(radius=1.0, centre=(0.0, 0.0, 0.0), color=None) -> Shape:
    """A fine icosphere: its points lie on the sphere, its faces within 0.2 % of it."""
    mesh = trimesh.creation.icosphere(4, radius)
    return _shape(mesh.vertices + np.array(centre), mesh.faces, color)


def square(x=0.0) -> Shape:
    corners = np.array([[x - 0.5, -0.5, 0], [x + 0.5, -0.5, 0], [x + 0.5, 0.5, 0], [x - 0.5, 0.5, 0]])
    return Shape(corners, np.array([[0, 1, 2], [0, 2, 3]]))


def _shape(vertices, faces, color) -> Shape:
    colors = None if color is None else np.tile(np.array(color, np.uint8), (len(vertices), 1))
    return Shape(np.asarray(vertices, np.float64), np.asarray(faces, np.int64), colors)
