"""The surface of an asset with a colour at each vertex, for formats without materials."""

from dataclasses import dataclass

import numpy as np

from scenegen.assets.glb import Glb
from scenegen.assets.library import CanonicalMesh
from scenegen.assets.painted import PaintedPart, painted_parts, to_linear, to_srgb
from scenegen.export.shapes import corner_normals


@dataclass(frozen=True, slots=True)
class ColouredMesh:
    """A canonical mesh whose vertices are apart where colours or normals are.

    vertices, normals: (V, 3) float32. faces: (F, 3) int32. colours: (V, 3) uint8 sRGB, or None if nothing tells them.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    colours: np.ndarray | None


def coloured(asset: Glb | None, mesh: CanonicalMesh) -> ColouredMesh:
    """The base colour at the vertices of a prepared asset; without the asset, its shape alone."""
    if asset is None:
        return ColouredMesh(mesh.vertices, mesh.faces, corner_normals(mesh), None)
    parts = painted_parts(asset)
    starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    return ColouredMesh(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)]).astype(np.int32),
        np.concatenate([_normals(part) for part in parts]),
        np.concatenate([_colours(part) for part in parts]),
    )


def _normals(part: PaintedPart) -> np.ndarray:
    if part.normals is None:
        return corner_normals(CanonicalMesh(part.vertices, part.faces.astype(np.int32)))
    length = np.linalg.norm(part.normals, axis=1, keepdims=True)
    return (part.normals / np.maximum(length, 1e-6)).astype(np.float32)


def _colours(part: PaintedPart) -> np.ndarray:
    """(V, 3) uint8 sRGB: of the texels that the vertices lie in, where there is a texture."""
    linear = np.tile(np.array(part.colour, np.float32), (len(part.vertices), 1))
    if part.colours_V3 is not None:
        linear *= part.colours_V3
    if part.texture is not None and part.uv is not None:
        size = np.array(part.texture.shape[1::-1])
        column, row = np.minimum((part.uv % 1.0 * size).astype(int), size - 1).T
        linear *= to_linear(part.texture[row, column])
    return to_srgb(linear)
