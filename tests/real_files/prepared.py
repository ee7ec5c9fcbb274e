"""What a prepared asset shows: its corners, and the colour of a place, read with NumPy and Pillow alone."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from scenegen.assets import glb
from scenegen.assets.glb import Glb, z_up


@dataclass(frozen=True)
class Prepared:
    """A canonical GLB."""

    document: Glb

    @property
    def corners(self) -> np.ndarray:
        """(F, 3, 3) in the canonical frame (z up)."""
        return glb.corners(self.document)

    def colour_at(self, place: np.ndarray) -> tuple[np.ndarray, float]:
        """((3,) sRGB from 0 to 255, opacity) of the surface nearest to a place in the canonical frame.

        Base colour factor, texture (its set, transform and wrap; nearest pixel) and vertex colour are multiplied, as
        glTF says; MASK gives 0 or 1.
        """
        primitive, index, weights = self._nearest(place)
        material = self._json("materials", primitive.get("material"), {})
        pbr = material.get("pbrMetallicRoughness", {})
        linear = np.array(pbr.get("baseColorFactor", [1, 1, 1, 1]), np.float64)
        if "COLOR_0" in primitive["attributes"]:
            colour = weights @ self.document.decoded(primitive["attributes"]["COLOR_0"])[index]
            linear[: len(colour)] *= colour
        if "baseColorTexture" in pbr:
            linear *= self._texel(pbr["baseColorTexture"], primitive, index, weights)
        mode, alpha = material.get("alphaMode", "OPAQUE"), float(linear[3])
        opacity = {"OPAQUE": 1.0, "BLEND": alpha, "MASK": float(alpha >= material.get("alphaCutoff", 0.5))}[mode]
        return _srgb(linear[:3]), opacity

    def extensions_of_materials(self) -> set[str]:
        return {name for material in self.document.json.get("materials", []) for name in material.get("extensions", {})}

    def _nearest(self, place: np.ndarray) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
        """(primitive, (3,) vertex indices, (3,) weights) of the nearest triangle."""
        best: tuple[float, Any] = (np.inf, None)
        for primitive in self.document.json["meshes"][0]["primitives"]:
            points = z_up(self.document.decoded(primitive["attributes"]["POSITION"])).astype(np.float64)
            for index in self.document.accessor(primitive["indices"])[:, 0].reshape(-1, 3):
                weights, distance = _barycentric(place, points[index])
                if distance < best[0]:
                    best = (distance, (primitive, index, weights))
        return best[1]

    def _texel(
        self, info: dict[str, Any], primitive: dict[str, Any], index: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        transform = info.get("extensions", {}).get("KHR_texture_transform", {})
        uv_set = transform.get("texCoord", info.get("texCoord", 0))
        u, v = weights @ self.document.decoded(primitive["attributes"][f"TEXCOORD_{uv_set}"])[index]
        (sx, sy), (ox, oy) = transform.get("scale", (1, 1)), transform.get("offset", (0, 0))
        cos, sin = np.cos(transform.get("rotation", 0)), np.sin(transform.get("rotation", 0))
        u, v = cos * sx * u + sin * sy * v + ox, -sin * sx * u + cos * sy * v + oy
        texture = self.document.json["textures"][info["index"]]
        source = texture.get("source", texture.get("extensions", {}).get("EXT_texture_webp", {}).get("source"))
        data = self.document.view_bytes(self.document.json["images"][source]["bufferView"])
        sampler = self._json("samplers", texture.get("sampler"), {})
        return _pixel(
            Image.open(io.BytesIO(data)), _wrapped(u, sampler.get("wrapS")), _wrapped(v, sampler.get("wrapT"))
        )

    def _json(self, key: str, index: int | None, default: dict[str, Any]) -> dict[str, Any]:
        return default if index is None else self.document.json[key][index]


def _barycentric(place: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights of the place's foot point on the triangle's plane, kept inside, and the distance to it."""
    a, edges = corners[0], (corners[1:] - corners[0]).T
    first, second = np.clip(np.linalg.lstsq(edges, place - a, rcond=None)[0], 0, 1)
    if first + second > 1:
        first, second = np.array([first, second]) / (first + second)
    weights = np.array([1 - first - second, first, second])
    return weights, float(np.linalg.norm(weights @ corners - place))


def _wrapped(value: float, mode: int | None) -> float:
    if mode == 33071:  # CLAMP_TO_EDGE
        return float(np.clip(value, 0, 1 - 1e-6))
    if mode == 33648:  # MIRRORED_REPEAT
        return float(1 - abs(value % 2 - 1))
    return float(value % 1)


def _pixel(image: Image.Image, u: float, v: float) -> np.ndarray:
    """Linear RGBA of a picture in sRGB."""
    if image.mode == "I;16":  # Pillow would clip it
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    pixel = image.convert("RGBA").getpixel((int(u * image.width), int(v * image.height)))
    encoded = np.array(pixel, np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return np.array([*linear[:3], encoded[3]])


def _srgb(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
