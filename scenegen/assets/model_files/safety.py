"""Untrusted model files, looked at before any importer sees them: sizes, headers, counts, and what they refer to.

The formats that say cheaply what they hold (glTF, OBJ, PLY, STL, USDZ, COLLADA) are checked here; the others (FBX,
USD crate, .blend) have their size bounded here, their memory and time by the process that imports them, and their
images after import (nothing outside the folder is read).
"""

import contextlib
import json
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from scenegen.assets import glb
from scenegen.assets.model_files import archives, gltf_files, ply, stl
from scenegen.assets.model_files.references import BUFFER, LIBRARY, TEXTURE, Reference, gltf_references, references
from scenegen.errors import AssetError

SCAN_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class Limits:
    """What a raw asset may be at most."""

    max_file_bytes: int = 1 << 30
    max_faces: int = 1_000_000
    max_archive_bytes: int = archives.MAX_TOTAL_BYTES


class UnsafeFileError(ValueError):
    """Not a file to import; the message names what is wrong."""


def check_file(uid: str, path: Path, root: Path, limits: Limits, missing_ok: bool = False) -> None:
    """Raises AssetError with one line that names the fault of a model file; silent if it may be imported.

    root: the folder that the file and everything it refers to must lie in.
    missing_ok: a texture that is not there is no fault (it falls back to the material's colour).
    """
    try:
        _inside(path, root, "the model file")
        if not path.is_file():
            raise UnsafeFileError(f"no file {path.name}")
        size = path.stat().st_size
        if size == 0:
            raise UnsafeFileError("empty file")
        if size > limits.max_file_bytes:
            raise UnsafeFileError(f"{size} bytes; the limit is {limits.max_file_bytes}")
        check = CHECKS.get(path.suffix.lower())
        if check is None:
            raise UnsafeFileError(f"unknown format {path.suffix!r}")
        check(path, root, limits, missing_ok)
    except (UnsafeFileError, glb.GlbError, gltf_files.CannotDecodeError, archives.ArchiveError) as error:
        raise AssetError(uid, str(error)) from None
    except OSError as error:  # no permission, a damaged disk
        raise AssetError(uid, f"cannot be read: {error.strerror or error}") from None
    except (KeyError, IndexError, TypeError, AttributeError, struct.error, OverflowError) as error:
        raise AssetError(uid, f"malformed {path.suffix} file ({type(error).__name__}: {error})") from None


def _inside(path: Path, root: Path, what: str) -> Path:
    """The resolved path (symbolic links followed). Raises UnsafeFileError if it is outside `root`."""
    resolved = path.resolve()
    if not resolved.is_relative_to(root.resolve()):
        raise UnsafeFileError(f"path escape: {what} leaves its folder")
    return resolved


def _check_references(path: Path, root: Path, limits: Limits, missing_ok: bool) -> None:
    """Everything a model names, and what that names. A material library may be missing where a texture may."""
    for reference in references(path, root):
        _referred(reference, root, limits, missing_ok and reference.what in (TEXTURE, LIBRARY))


def _referred(reference: Reference, root: Path, limits: Limits, missing_ok: bool = False) -> Path | None:
    """The file that is named. Raises UnsafeFileError if it is outside, missing or too large."""
    name, what, target = reference.name, reference.what, reference.found(root) or reference.target
    if re.match(r"^([a-zA-Z][a-zA-Z0-9+.-]+:|//)", name):
        raise UnsafeFileError(f"path escape: {what} {name[:80]!r} is not a local file")
    if missing_ok and not target.resolve().is_relative_to(root.resolve()):
        return None  # a path of the author's own disk; it is never opened
    resolved = _inside(target, root, f"{what} {name[:80]!r}")
    if not resolved.is_file():
        if missing_ok:
            return None
        raise UnsafeFileError(f"missing {what}: {name[:80]}")
    if resolved.stat().st_size > limits.max_file_bytes:
        raise UnsafeFileError(
            f"{what} {name[:80]} has {resolved.stat().st_size} bytes; the limit is {limits.max_file_bytes}"
        )
    return resolved


def _check_glb(path: Path, root: Path, limits: Limits, missing_ok: bool) -> None:
    document = glb.Glb.from_bytes(path.read_bytes())
    buffers = [document.binary if "uri" not in b else None for b in document.json.get("buffers", [])]
    _check_gltf_document(document.json, buffers, path, root, limits, missing_ok)


def _check_gltf(path: Path, root: Path, limits: Limits, missing_ok: bool) -> None:
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
    gltf_files.check_decodable(document)
    for index, buffer in enumerate(document.get("buffers", [])):
        if buffers[index] is not None:
            available = len(buffers[index] or b"")
        elif str(buffer.get("uri", "")).startswith("data:"):
            available = len(buffer["uri"])
        else:
            name = unquote(buffer.get("uri", "?"))
            target = _referred(Reference(name, path, BUFFER), root, limits)
            buffers[index] = target.read_bytes() if target else b""
            available = len(buffers[index] or b"")
        if buffer["byteLength"] > available:
            raise UnsafeFileError(f"truncated buffer: {available} of {buffer['byteLength']} bytes")
    for reference in gltf_references(document, path):
        if reference.what == TEXTURE:
            _referred(reference, root, limits, missing_ok)
    faces = _gltf_faces(document)
    _check_faces(faces, limits)
    _check_gltf_positions(document, buffers)


def _gltf_faces(document: dict[str, Any]) -> int:
    """Triangles that the scene's nodes draw (a mesh counts once for each node that shows it)."""
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
    """NaN or infinite positions, and accessors that leave their buffer, where the bytes are at hand."""
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


def _check_faces(faces: int, limits: Limits) -> None:
    if faces <= 0:
        raise UnsafeFileError("zero faces")
    if faces > limits.max_faces:
        raise UnsafeFileError(f"{faces} faces; the limit is {limits.max_faces}")


def _check_obj(path: Path, root: Path, limits: Limits, missing_ok: bool) -> None:
    faces = corners = 0
    continued = False
    for line in _lines(path):
        words = line.split()
        kind = b"" if continued or not words else words[0].removeprefix(b"\xef\xbb\xbf")
        if kind == b"v" and (b"nan" in line.lower() or b"inf" in line.lower()):
            raise UnsafeFileError("NaN or infinite vertices")
        if kind == b"f" or (continued and corners):
            corners += len(words) - (kind == b"f") - (words[-1:] == [b"\\"])
        continued = line.endswith(b"\\")
        if not continued:
            faces, corners = faces + max(corners - 2, 0), 0
    _check_references(path, root, limits, missing_ok)
    _check_faces(faces, limits)


def _check_ply(path: Path, root: Path, limits: Limits, missing_ok: bool) -> None:
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if not head.startswith(b"ply") or b"end_header" not in head:
        raise UnsafeFileError("not a PLY file (no ply header)")
    header = head[: head.index(b"end_header")].decode("utf-8", "replace")
    counts = {name: int(count) for name, count in re.findall(r"element\s+(\w+)\s+(\d+)", header)}
    if counts.get("vertex") and not counts.get("face", counts.get("tristrips", 0)):
        raise UnsafeFileError("zero faces, only points: make a surface of them first, for example with MeshLab")
    _check_references(path, root, limits, missing_ok)
    texture = ply.texture_name(header)
    if texture and not ply.has_vertex_uv(header):
        raise UnsafeFileError(
            f"texture {texture} lies on the faces' corners (texcoord), which is not read from PLY; "
            "save the model as OBJ or GLB"
        )
    _check_faces(counts.get("face", 0) or counts.get("tristrips", 0), limits)
    ascii_row = "format ascii" in header
    least = counts.get("vertex", 0) * (6 if ascii_row else 12) + counts.get("face", 0) * (6 if ascii_row else 7)
    if path.stat().st_size < least:
        raise UnsafeFileError(f"truncated PLY: {path.stat().st_size} bytes cannot hold {counts.get('face', 0)} faces")


def _check_stl(path: Path, root: Path, limits: Limits, missing_ok: bool) -> None:
    del root, missing_ok
    count = stl.binary_count(path)
    with path.open("rb") as file:
        head = file.read(stl.HEAD)
    if not count and head.lstrip().lower().startswith(b"solid"):
        count = sum(line.strip().lower().startswith(b"facet") for line in _lines(path))
    if count is None and any(head[stl.HEAD - 4 :]):
        raise UnsafeFileError(f"truncated STL: {path.stat().st_size} bytes are too few for its triangles")
    _check_faces(count or 0, limits)


def _check_usdz(path: Path, root: Path, limits: Limits, missing_ok: bool) -> None:
    del root, missing_ok
    try:
        with zipfile.ZipFile(path) as archive:
            archives.check_members(archive.infolist(), limits.max_archive_bytes)
    except (zipfile.BadZipFile, OSError) as error:
        raise UnsafeFileError(f"damaged USDZ ({error})") from None


def _check_usdc(path: Path, root: Path, limits: Limits, missing_ok: bool) -> None:
    del root, limits, missing_ok
    _magic(path, (b"PXR-USDC",), "a USD crate")


def _check_dae(path: Path, root: Path, limits: Limits, missing_ok: bool) -> None:
    if any(b"<!ENTITY" in line or b"<!DOCTYPE" in line for line in _lines(path)):
        raise UnsafeFileError("COLLADA with an entity declaration (an XML bomb needs one)")
    _check_references(path, root, limits, missing_ok)


def _check_fbx(path: Path, root: Path, limits: Limits, missing_ok: bool) -> None:
    del root, limits, missing_ok
    with path.open("rb") as file:
        if file.read(512).lstrip(b"\xef\xbb\xbf \r\n").startswith(b"; FBX"):
            raise UnsafeFileError("FBX as text (ASCII), which is not read; save it as binary FBX, or as GLB")
    _magic(path, (b"Kaydara FBX Binary",), "a binary FBX file")


def _check_blend(path: Path, root: Path, limits: Limits, missing_ok: bool) -> None:
    del root, limits, missing_ok
    _magic(path, (b"BLENDER", b"\x28\xb5\x2f\xfd", b"\x1f\x8b"), "a .blend file")


def _magic(path: Path, allowed: tuple[bytes, ...], what: str) -> None:
    with path.open("rb") as file:
        head = file.read(32)
    if not head.startswith(allowed):
        raise UnsafeFileError(f"not {what} (its first bytes are {head[:8]!r})")


def _lines(path: Path) -> Iterator[bytes]:
    """Lines without their ends; a line longer than a chunk comes in pieces, so that memory stays bounded."""
    with contextlib.closing(path.open("rb")) as file:
        while line := file.readline(SCAN_CHUNK):
            yield line.rstrip(b"\r\n")


CHECKS: dict[str, Callable[[Path, Path, Limits, bool], None]] = {
    ".glb": _check_glb,
    ".gltf": _check_gltf,
    ".obj": _check_obj,
    ".ply": _check_ply,
    ".stl": _check_stl,
    ".usdz": _check_usdz,
    ".usd": _check_references,
    ".usda": _check_references,
    ".usdc": _check_usdc,
    ".dae": _check_dae,
    ".fbx": _check_fbx,
    ".blend": _check_blend,
}
