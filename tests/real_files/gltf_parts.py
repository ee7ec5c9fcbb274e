"""Parts of glTF files in the making."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scenegen.assets.glb import y_up
from tests.assets.models import Model
from tests.real_files.model_case import (
    LINEAR_RED,
    PALETTE,
    TETRA,
    TETRA_FACES,
    Expected,
    separate_faces,
    tetra,
)

GREEN, LINEAR_GREEN = (89, 231, 89), (0.1, 0.8, 0.1)
SCANNED = "Objaverse and Sketchfab"


def require(model: Model, name: str, required: bool = True) -> None:
    for key in ("extensionsUsed", "extensionsRequired")[: 1 + required]:
        model.document.setdefault(key, []).append(name)


def plain_material(model: Model, colour: tuple[float, ...] = LINEAR_RED, **extra: Any) -> int:
    pbr = {"baseColorFactor": [*colour, 1.0][:4], "metallicFactor": 0.0}
    model.document.setdefault("materials", []).append({"pbrMetallicRoughness": pbr, **extra})
    return len(model.document["materials"]) - 1


def add_image(model: Model, data: bytes, mime: str) -> int:
    model.binary += b"\0" * (-len(model.binary) % 4)
    view = {"buffer": 0, "byteOffset": len(model.binary), "byteLength": len(data)}
    model.document["bufferViews"].append(view)
    model.binary += data
    images = model.document.setdefault("images", [])
    images.append({"bufferView": len(model.document["bufferViews"]) - 1, "mimeType": mime})
    return len(images) - 1


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def textured(model: Model, texture: dict[str, Any], info: dict[str, Any] | None = None, **material: Any) -> int:
    """A material whose base colour is the texture."""
    textures = model.document.setdefault("textures", [])
    textures.append(texture)
    pbr = {"metallicFactor": 0.0, "baseColorTexture": {"index": len(textures) - 1, **(info or {})}}
    model.document.setdefault("materials", []).append({"pbrMetallicRoughness": pbr, **material})
    return len(model.document["materials"]) - 1


def tetra_mesh(model: Model, points: np.ndarray = TETRA, **primitive: Any) -> int:
    return model.mesh(y_up(np.asarray(points, np.float32)), TETRA_FACES, **primitive)


def mesh_with_uv(model: Model, material: int, uv: np.ndarray | None = None, more: dict[str, Any] | None = None) -> int:
    """The mesh whose faces lie in the four fields of the picture (glTF's v runs downwards)."""
    points, faces, field_uv = separate_faces()
    mesh = model.mesh(y_up(points), faces, material=material)
    down = field_uv * (1, -1) + (0, 1) if uv is None else uv
    attributes = model.document["meshes"][mesh]["primitives"][0]["attributes"]
    attributes |= {"TEXCOORD_0": model.accessor(down.astype(np.float32))} | (more or {})
    return mesh


def red_tetra(model: Model) -> int:
    return tetra_mesh(model, material=plain_material(model))


def palette_case(folder: Path, name: str, image: bytes, mime: str, **texture: Any) -> Expected:
    model = Model()
    source = add_image(model, image, mime)
    model.node(mesh=mesh_with_uv(model, textured(model, {"source": source} | texture)))
    model.glb(folder / name)
    return tetra(*PALETTE)


def basis_model(required: bool) -> Model:
    model = Model()
    require(model, "KHR_texture_basisu", required)
    image = add_image(model, b"\xabKTX 20\xbb\r\n\x1a\n" + bytes(80), "image/ktx2")
    model.node(mesh=mesh_with_uv(model, textured(model, {"extensions": {"KHR_texture_basisu": {"source": image}}})))
    return model
