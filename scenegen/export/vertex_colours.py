"""The surface of an asset with a colour at each vertex, for formats without materials."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from scenegen.assets.glb import Glb, z_up
from scenegen.assets.library import CanonicalMesh
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
    parts = [_part(asset, primitive) for primitive in asset.json["meshes"][0]["primitives"]]
    starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    return ColouredMesh(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)]).astype(np.int32),
        np.concatenate([part.normals for part in parts]),
        np.concatenate([part.colours for part in parts if part.colours is not None]),
    )


def _part(asset: Glb, primitive: dict[str, Any]) -> ColouredMesh:
    attributes = {name: asset.decoded(number) for name, number in primitive["attributes"].items()}
    vertices = z_up(attributes["POSITION"])
    faces = asset.accessor(primitive["indices"]).reshape(-1, 3).astype(np.int32)
    normals = attributes.get("NORMAL")
    if normals is None:
        normals = corner_normals(CanonicalMesh(vertices, faces))
    else:
        normals = z_up(normals) / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    linear = np.ones((len(vertices), 3), np.float32)
    if "COLOR_0" in attributes:
        linear *= attributes["COLOR_0"][:, :3]
    if "material" in primitive:
        surface = asset.json["materials"][primitive["material"]].get("pbrMetallicRoughness", {})
        linear *= np.array(surface.get("baseColorFactor", [1.0] * 4), np.float32)[:3]
        if "baseColorTexture" in surface and "TEXCOORD_0" in attributes:
            linear *= _sampled(asset, surface["baseColorTexture"]["index"], attributes["TEXCOORD_0"])
    return ColouredMesh(vertices, faces, normals.astype(np.float32), _to_srgb(linear))


def _sampled(asset: Glb, texture: int, uv: np.ndarray) -> np.ndarray:
    """(N, 3) linear colours of the texels that (N, 2) coordinates lie in; the image repeats."""
    image = asset.json["images"][asset.json["textures"][texture]["source"]]
    texels = np.asarray(Image.open(io.BytesIO(asset.view_bytes(image["bufferView"]))).convert("RGB"))
    size = np.array(texels.shape[1::-1])
    column, row = np.minimum((uv % 1.0 * size).astype(int), size - 1).T
    return _to_linear(texels[row, column])


def _to_linear(srgb: np.ndarray) -> np.ndarray:
    """uint8 to [0, 1], by IEC 61966-2-1."""
    value = srgb.astype(np.float32) / 255.0
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _to_srgb(linear: np.ndarray) -> np.ndarray:
    value = np.clip(linear, 0.0, 1.0)
    encoded = np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255.0).astype(np.uint8)
