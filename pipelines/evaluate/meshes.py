"""Shapes from files and to files.

Shapes: V vertices, F faces.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from pipelines.errors import PipelineError
from pipelines.evaluate.records import Shape

# glTF's y-up to z-up: x stays, y becomes z, z becomes -y.
T_ZUP_GLTF = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])


class UnreadableMesh(PipelineError):
    """A file is no mesh that can be judged."""


def read_shape(path: Path) -> Shape:
    """All geometry of a GLB, OBJ, PLY, ... in one shape, node transforms applied, in the coordinates of the file.

    Colours of vertices or of a texture come along as vertex colours. Raises UnreadableMesh.
    """
    parts = read_parts(path)
    return parts[0] if len(parts) == 1 else merged(parts)


def read_parts(path: Path) -> list[Shape]:
    """As `read_shape`, one shape a node, in the order of the file."""
    try:
        scene = trimesh.load_scene(path)
        nodes = [scene.graph[name] for name in scene.graph.nodes_geometry]
        parts = [_shape(scene.geometry[geometry]).moved(T) for T, geometry in nodes]
    except (ValueError, TypeError, KeyError, IndexError, OSError, AttributeError) as error:
        raise UnreadableMesh(f"{path} cannot be read as a mesh: {error}") from error
    if not any(len(part.vertices_V3) for part in parts):
        raise UnreadableMesh(f"{path} holds no geometry")
    return parts


def merged(parts: list[Shape]) -> Shape:
    """One shape of several; colours only if all have them."""
    offsets = np.cumsum([0, *(len(part.vertices_V3) for part in parts[:-1])])
    faces = [part.faces_F3 + offset for part, offset in zip(parts, offsets, strict=True)]
    colors = [part.colors_V3 for part in parts if part.colors_V3 is not None]
    return Shape(
        np.concatenate([part.vertices_V3 for part in parts]),
        np.concatenate(faces),
        np.concatenate(colors) if len(colors) == len(parts) else None,
    )


def write_shape(shape: Shape, path: Path) -> None:
    """The shape as a GLB (or whatever the suffix says), vertex colours included, in its own coordinates."""
    colors = None if shape.colors_V3 is None else shape.colors_V3
    if shape.is_surface:
        geometry: Any = trimesh.Trimesh(shape.vertices_V3, shape.faces_F3, vertex_colors=colors, process=False)
    else:
        geometry = trimesh.PointCloud(shape.vertices_V3, colors=colors)
    path.parent.mkdir(parents=True, exist_ok=True)
    geometry.export(path)


def _shape(geometry: Any) -> Shape:
    vertices = np.asarray(geometry.vertices, np.float64)
    faces = np.asarray(getattr(geometry, "faces", np.zeros((0, 3))), np.int64)
    return Shape(vertices, faces, _vertex_colors(geometry))


def _vertex_colors(geometry: Any) -> np.ndarray | None:
    """(V, 3) uint8 of a mesh or of points; None when the file gives no colour."""
    visual = getattr(geometry, "visual", None)
    if visual is None or not getattr(visual, "defined", True):
        return None
    colors = visual.vertex_colors if visual.kind == "vertex" else visual.to_color().vertex_colors
    return np.asarray(colors, np.uint8)[:, :3] if len(colors) == len(geometry.vertices) else None
