"""The surface of a prepared asset as a viewer draws it: its parts, each with a colour or a texture.

V: vertices. F: faces. H, W: texture.
"""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from scenegen.assets.glb import Glb, z_up


@dataclass(frozen=True, slots=True)
class PaintedPart:
    """The triangles of one material, in the canonical frame.

    vertices: (V, 3) float32. normals: (V, 3) float32 or None. faces: (F, 3) uint32.
    colour: linear RGB, 0 to 1; it multiplies the texture and colours_V3, which are linear too, (V, 3) or None.
    uv: (V, 2) float32, v down. texture: (H, W, 3) uint8 sRGB, which repeats.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray | None = None
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    uv: np.ndarray | None = None
    texture: np.ndarray | None = None
    colours_V3: np.ndarray | None = None


def painted_parts(glb: Glb) -> tuple[PaintedPart, ...]:
    """The parts of a canonical GLB, in its order. What is transparent is taken for solid. Raises GlbError."""
    return tuple(_part(glb, primitive) for primitive in glb.json["meshes"][0]["primitives"])


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """uint8 to [0, 1], by IEC 61966-2-1."""
    value = srgb.astype(np.float32) / 255.0
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """The inverse of `to_linear`; what lies outside [0, 1] is cut off."""
    value = np.clip(linear, 0.0, 1.0)
    encoded = np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255.0).astype(np.uint8)


def _part(glb: Glb, primitive: dict[str, Any]) -> PaintedPart:
    attributes = primitive["attributes"]
    normals = z_up(glb.decoded(attributes["NORMAL"])) if "NORMAL" in attributes else None
    paint = _paint(glb, primitive)
    texture = paint.get("baseColorTexture")
    uv = f"TEXCOORD_{texture.get('texCoord', 0)}" if texture else None
    has_texture = texture is not None and uv in attributes
    r, g, b, _ = paint.get("baseColorFactor", (1.0, 1.0, 1.0, 1.0))
    return PaintedPart(
        vertices=z_up(glb.decoded(attributes["POSITION"])),
        faces=glb.accessor(primitive["indices"])[:, 0].astype(np.uint32).reshape(-1, 3),
        normals=normals,
        colour=(r, g, b),
        uv=glb.decoded(attributes[uv]) if has_texture else None,
        texture=_picture(glb, texture) if has_texture and texture else None,
        colours_V3=glb.decoded(attributes["COLOR_0"])[:, :3] if "COLOR_0" in attributes else None,
    )


def _paint(glb: Glb, primitive: dict[str, Any]) -> dict[str, Any]:
    if "material" not in primitive:
        return {}
    paint: dict[str, Any] = glb.json["materials"][primitive["material"]].get("pbrMetallicRoughness", {})
    return paint


def _picture(glb: Glb, texture: dict[str, Any]) -> np.ndarray:
    image = glb.json["images"][glb.json["textures"][texture["index"]]["source"]]
    return np.asarray(Image.open(io.BytesIO(glb.view_bytes(image["bufferView"]))).convert("RGB"))
