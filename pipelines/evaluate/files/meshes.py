"""Shapes read from mesh files (GLB, PLY, OBJ).

Shapes: V vertices, F faces.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from pipelines.errors import PipelineError
from pipelines.evaluate.records.shapes import Shape, merged

_LINEAR_COLOURS = (".glb", ".gltf")  # glTF keeps vertex colours linear
_PACKED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression")  # geometry that trimesh takes for zeros
# glTF's y-up to z-up: x stays, y becomes z, z becomes -y.
T_ZUP_GLTF = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])


class UnreadableMesh(PipelineError):
    """A file does not hold a mesh that can be judged."""


def read_shape(path: Path) -> Shape:
    """All geometry of a GLB, OBJ, PLY, ... in one shape, node transforms applied, in the coordinates of the file.

    Colours of vertices or of a texture come along as vertex colours. Raises UnreadableMesh.
    """
    parts = read_parts(path)
    return parts[0] if len(parts) == 1 else merged(parts)


def read_parts(path: Path) -> list[Shape]:
    """Like `read_shape`, but one shape for each node, in the order of the file's meshes."""
    try:
        if path.suffix.lower() == ".glb":
            _check_plain(path)
        scene = trimesh.load_scene(path)
        order = {name: number for number, name in enumerate(scene.geometry)}  # the graph's own order is arbitrary
        nodes = sorted((scene.graph[name] for name in scene.graph.nodes_geometry), key=lambda node: order[node[1]])
        linear = path.suffix.lower() in _LINEAR_COLOURS
        parts = [_shape(scene.geometry[geometry], linear).moved(T) for T, geometry in nodes]
    except (ValueError, TypeError, KeyError, IndexError, OSError, AttributeError, struct.error) as error:
        raise UnreadableMesh(f"{path} cannot be read as a mesh: {error}") from error
    if not any(len(part.vertices_V3) for part in parts):
        raise UnreadableMesh(f"{path} holds no geometry")
    return parts


def _check_plain(path: Path) -> None:
    """Raises UnreadableMesh for a GLB whose geometry trimesh would read as another, without a word."""
    with path.open("rb") as file:
        magic, _, _, length, kind = struct.unpack("<4sIIII", file.read(20))
        if magic != b"glTF" or kind != 0x4E4F534A:
            return  # trimesh says what is wrong
        document = json.loads(file.read(length))
    accessors = document.get("accessors", [])
    positions = {
        primitive["attributes"]["POSITION"]
        for mesh in document.get("meshes", [])
        for primitive in mesh["primitives"]
        if "POSITION" in primitive["attributes"]
    }
    packed = [name for name in _PACKED if name in document.get("extensionsRequired", [])]
    if any(accessors[i].get("normalized") for i in positions):
        packed.append("KHR_mesh_quantization with normalised positions")
    if packed:
        raise UnreadableMesh(
            f"{path} stores its geometry with {' and '.join(packed)}, which is not read; export it again without "
            "compression and quantisation"
        )


def _shape(geometry: Any, linear: bool) -> Shape:
    vertices = np.asarray(geometry.vertices, np.float64)
    faces = np.asarray(getattr(geometry, "faces", np.zeros((0, 3))), np.int64)
    return Shape(vertices, faces, _vertex_colors(geometry, linear))


def _vertex_colors(geometry: Any, linear: bool) -> np.ndarray | None:
    """(V, 3) uint8 sRGB of a mesh or of points; None when the file gives no colour."""
    visual = getattr(geometry, "visual", None)
    if visual is None or not getattr(visual, "defined", True):
        return None
    if visual.kind == "vertex":
        return _srgb(np.asarray(visual.vertex_colors), linear)
    if "color" in visual.vertex_attributes:  # vertex colours beside a material
        return _srgb(np.asarray(visual.vertex_attributes["color"]), linear)
    if visual.uv is None:
        return None
    return np.asarray(visual.to_color().vertex_colors, np.uint8)[:, :3]  # textures are sRGB in every format


def _srgb(colors: np.ndarray, linear: bool) -> np.ndarray:
    """(V, 3) uint8 of colours as stored, in integers of 8 or 16 bits or in floats (IEC 61966-2-1)."""
    full = 1.0 if np.issubdtype(colors.dtype, np.floating) else np.iinfo(colors.dtype).max
    value = (colors[:, :3].astype(np.float64) / full).clip(0, 1)
    if linear:
        value = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    return np.rint(255 * value).astype(np.uint8)
