"""Checks of untrusted glTF and GLB files: their buffers, images, faces and positions."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from scenegen.assets import glb
from scenegen.assets.model_files import gltf
from scenegen.assets.model_files.limits import Limits, UnsafeFileError, check_faces, referred_file
from scenegen.assets.model_files.references import BUFFER, TEXTURE, Reference, gltf_references


def check_glb(path: Path, root: Path, limits: Limits, missing_ok: bool) -> None:
    """See safety.py; raises UnsafeFileError, GlbError, CannotDecodeError, or what a malformed document causes."""
    document = glb.Glb.from_bytes(path.read_bytes())
    buffers = [document.binary if "uri" not in b else None for b in document.json.get("buffers", [])]
    _check_gltf_document(document.json, buffers, path, root, limits, missing_ok)


def check_gltf(path: Path, root: Path, limits: Limits, missing_ok: bool) -> None:
    """See safety.py; raises UnsafeFileError, GlbError, CannotDecodeError, or what a malformed document causes."""
    try:
        document = json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnsafeFileError(f"bad glTF JSON ({error})") from None
    buffers: list[bytes | None] = [None] * len(document.get("buffers", []))
    _check_gltf_document(document, buffers, path, root, limits, missing_ok)


def _check_gltf_document(
    document: dict[str, Any],
    buffers: list[bytes | None],
    path: Path,
    root: Path,
    limits: Limits,
    missing_ok: bool,
) -> None:
    gltf.check_decodable(document)
    for index, buffer in enumerate(document.get("buffers", [])):
        if buffers[index] is not None:
            available = len(buffers[index] or b"")
        elif str(buffer.get("uri", "")).startswith("data:"):
            available = len(buffer["uri"])
        else:
            name = unquote(buffer.get("uri", "?"))
            target = referred_file(Reference(name, path, BUFFER), root, limits)
            buffers[index] = target.read_bytes() if target else b""
            available = len(buffers[index] or b"")
        if buffer["byteLength"] > available:
            raise UnsafeFileError(f"truncated buffer: {available} of {buffer['byteLength']} bytes")
    for reference in gltf_references(document, path):
        if reference.what == TEXTURE:
            referred_file(reference, root, limits, missing_ok)
    faces = _gltf_faces(document)
    check_faces(faces, limits)
    _check_gltf_positions(document, buffers)


def _gltf_faces(document: dict[str, Any]) -> int:
    """The number of triangles that all nodes draw; a mesh counts once for each node that shows it."""
    accessors = document.get("accessors", [])
    uses = [0] * len(document.get("meshes", []))
    for node in document.get("nodes", []):
        if "mesh" in node:
            uses[node["mesh"]] += 1
    total = 0
    for mesh, count in zip(document.get("meshes", []), uses, strict=True):
        for primitive in mesh["primitives"]:
            mode = primitive.get("mode", 4)
            corners = accessors[primitive["indices"] if "indices" in primitive else primitive["attributes"]["POSITION"]]
            if mode in (4, 5, 6):
                total += count * (corners["count"] // 3 if mode == 4 else max(corners["count"] - 2, 0))
    return total


def _check_gltf_positions(document: dict[str, Any], buffers: list[bytes | None]) -> None:
    """Raises UnsafeFileError for NaN or infinite positions, GlbError for accessors that leave their buffer.

    Buffers that are None are not looked at.
    """
    wanted = {p["attributes"]["POSITION"] for m in document.get("meshes", []) for p in m["primitives"]}
    for index in wanted:
        accessor = document["accessors"][index]
        if accessor.get("componentType") != 5126 or "bufferView" not in accessor:
            continue
        view = document["bufferViews"][accessor["bufferView"]]
        data = buffers[view["buffer"]]
        if data is None:
            continue
        one = glb.Glb({**document, "bufferViews": [{**v, "buffer": 0} for v in document["bufferViews"]]}, data)
        if not np.isfinite(one.accessor(index)).all():
            raise UnsafeFileError("NaN or infinite vertices")
