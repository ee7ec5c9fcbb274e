"""A scene as one binary glTF 2.0 file: one node per instance under a root that rotates z up to y up.

Vertex colours are stored linear, as glTF demands; textures are sRGB images.
Source: glTF 2.0 specification, sections 3 and 4.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipelines.complete.export.scene import ROOT_QUATERNION_XYZW, SceneObject, Texture, scene_objects
from pipelines.complete.results import Completion

MAGIC, VERSION = 0x46546C67, 2
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
UNSIGNED_SHORT, UNSIGNED_INT, FLOAT = 5123, 5125, 5126
ROOT_NAME = "world_z_up"


def write_scene(path: str | Path, completion: Completion) -> None:
    """The completed objects of an image where they stand in the world, with the colours of their meshes.

    path: of a GLB file. It is named after the checkpoint, and holds the seed.
    """
    write_glb(Path(path), scene_objects(completion), completion.checkpoint, {"seed": completion.seed})


def write_glb(path: Path, objects: Sequence[SceneObject], title: str, extras: dict[str, Any] | None = None) -> None:
    """title: the name of the scene, which says whose result it is. extras: the `extras` of the scene."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_glb(objects, title, extras))


def encode_glb(objects: Sequence[SceneObject], title: str, extras: dict[str, Any] | None = None) -> bytes:
    binary = _Binary()
    meshes = [_mesh(thing, binary) for thing in objects]
    nodes: list[dict[str, Any]] = [{"name": ROOT_NAME, "rotation": list(ROOT_QUATERNION_XYZW)}]
    nodes += [_node(thing, number) for number, thing in enumerate(objects)]
    if objects:
        nodes[0]["children"] = list(range(1, len(nodes)))
    content: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "fixer-complete"},
        "scene": 0,
        "scenes": [{"name": title, "nodes": [0], "extras": extras or {}}],
        "nodes": nodes,
    }
    if objects:
        content |= {"meshes": meshes, "materials": binary.materials, "accessors": binary.accessors}
        content |= {"bufferViews": binary.views, "buffers": [{"byteLength": len(binary.data)}]}
    if binary.images:
        content |= {"images": binary.images, "textures": binary.textures, "samplers": [{}]}
    return _container(json.dumps(content).encode(), bytes(binary.data))


def _node(thing: SceneObject, mesh: int) -> dict[str, Any]:
    return {
        "name": thing.name,
        "mesh": mesh,
        "translation": list(thing.translation),
        "scale": [thing.scale] * 3,
        "extras": {"instance_id": thing.instance_id},
    }


def _mesh(thing: SceneObject, binary: _Binary) -> dict[str, Any]:
    attributes = {
        "POSITION": binary.add_array(thing.vertices_V3.astype(np.float32), "VEC3", FLOAT, with_bounds=True),
        "NORMAL": binary.add_array(thing.normals_V3.astype(np.float32), "VEC3", FLOAT),
    }
    if thing.texture is not None:
        attributes["TEXCOORD_0"] = binary.add_array(thing.texture.uv_V2.astype(np.float32), "VEC2", FLOAT)
    elif thing.colours_V3 is not None:
        attributes["COLOR_0"] = binary.add_array(
            _linear_rgba(thing.colours_V3), "VEC4", UNSIGNED_SHORT, normalized=True
        )
    indices = thing.faces_F3.astype(np.uint32).ravel()
    primitive = {
        "attributes": attributes,
        "indices": binary.add_array(indices, "SCALAR", UNSIGNED_INT, target=ELEMENT_ARRAY_BUFFER),
        "material": binary.add_material(thing.name, thing.texture),
    }
    return {"name": thing.name, "primitives": [primitive]}


class _Binary:
    """The one buffer of a GLB, and the tables that describe its contents."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.materials: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []
        self.textures: list[dict[str, Any]] = []

    def add_array(
        self,
        values: np.ndarray,
        kind: str,
        component: int,
        with_bounds: bool = False,
        normalized: bool = False,
        target: int = ARRAY_BUFFER,
    ) -> int:
        """The index of the new accessor."""
        accessor: dict[str, Any] = {
            "bufferView": self._add_view(np.ascontiguousarray(values).tobytes(), target),
            "componentType": component,
            "count": len(values),
            "type": kind,
        }
        if normalized:
            accessor["normalized"] = True
        if with_bounds:
            accessor |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_material(self, name: str, texture: Texture | None) -> int:
        """Rough and not metallic, so that colours look as they are; double-sided, because a surface may have holes."""
        surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
        if texture is not None:
            surface["baseColorTexture"] = {"index": self._add_texture(texture)}
        self.materials.append({"name": name, "pbrMetallicRoughness": surface, "doubleSided": True})
        return len(self.materials) - 1

    def _add_texture(self, texture: Texture) -> int:
        png = io.BytesIO()
        Image.fromarray(texture.image_SS3).save(png, "PNG")
        self.images.append({"bufferView": self._add_view(png.getvalue(), None), "mimeType": "image/png"})
        self.textures.append({"sampler": 0, "source": len(self.images) - 1})
        return len(self.textures) - 1

    def _add_view(self, content: bytes, target: int | None) -> int:
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content)}
        if target is not None:
            view["target"] = target
        self.views.append(view)
        self.data += content + b"\0" * (-len(content) % 4)
        return len(self.views) - 1


def _linear_rgba(srgb_V3: np.ndarray) -> np.ndarray:
    """(V, 4) uint16, opaque."""
    value = np.arange(256) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    table = np.rint(linear * 65535).astype(np.uint16)
    return np.concatenate([table[srgb_V3], np.full((len(srgb_V3), 1), 65535, np.uint16)], axis=1)


def _container(content: bytes, binary: bytes) -> bytes:
    content += b" " * (-len(content) % 4)
    chunks = struct.pack("<II", len(content), JSON_CHUNK) + content
    if binary:
        chunks += struct.pack("<II", len(binary), BINARY_CHUNK) + binary
    return struct.pack("<III", MAGIC, VERSION, 12 + len(chunks)) + chunks
