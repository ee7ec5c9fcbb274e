"""Checks untrusted model files before any importer reads them: sizes, headers, counts, and what they refer to.

The formats whose content can be read cheaply (glTF, OBJ, PLY, STL, USDZ, COLLADA) are checked here. Of the others (FBX,
USD crate, .blend) only the size is limited here; the process that imports them limits memory and time, and their images
are checked after import (nothing outside the folder is read).
"""

import contextlib
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from scenegen.assets import glb
from scenegen.assets.model_files import archives, gltf, ply, stl
from scenegen.assets.model_files.gltf_checks import check_glb, check_gltf
from scenegen.assets.model_files.limits import Limits, UnsafeFileError, check_faces, check_references, inside
from scenegen.errors import AssetError

SCAN_CHUNK = 1 << 22


def check_file(uid: str, path: Path, root: Path, limits: Limits, missing_ok: bool = False) -> None:
    """Raises AssetError with one line that says what is wrong with a model file; returns if it may be imported.

    root: the folder that must contain the file and everything it refers to.
    missing_ok: a missing texture is no fault; the material's plain colour is used instead.
    """
    try:
        inside(path, root, "the model file")
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
    except (UnsafeFileError, glb.GlbError, gltf.CannotDecodeError, archives.ArchiveError) as error:
        raise AssetError(uid, str(error)) from None
    except OSError as error:  # no permission, a damaged disk
        raise AssetError(uid, f"cannot be read: {error.strerror or error}") from None
    except (KeyError, IndexError, TypeError, AttributeError, struct.error, OverflowError) as error:
        raise AssetError(uid, f"malformed {path.suffix} file ({type(error).__name__}: {error})") from None


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
    check_references(path, root, limits, missing_ok)
    check_faces(faces, limits)


def _check_ply(path: Path, root: Path, limits: Limits, missing_ok: bool) -> None:
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if not head.startswith(b"ply") or b"end_header" not in head:
        raise UnsafeFileError("not a PLY file (no ply header)")
    header = head[: head.index(b"end_header")].decode("utf-8", "replace")
    counts = {name: int(count) for name, count in re.findall(r"element\s+(\w+)\s+(\d+)", header)}
    if counts.get("vertex") and not counts.get("face", counts.get("tristrips", 0)):
        raise UnsafeFileError("zero faces, only points: make a surface of them first, for example with MeshLab")
    check_references(path, root, limits, missing_ok)
    texture = ply.texture_name(header)
    if texture and not ply.has_vertex_uv(header):
        raise UnsafeFileError(
            f"texture {texture} lies on the faces' corners (texcoord), which is not read from PLY; "
            "save the model as OBJ or GLB"
        )
    check_faces(counts.get("face", 0) or counts.get("tristrips", 0), limits)
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
    check_faces(count or 0, limits)


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
    check_references(path, root, limits, missing_ok)


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
    """Lines without line ends. A line longer than a chunk comes in pieces, so that memory stays bounded."""
    with contextlib.closing(path.open("rb")) as file:
        while line := file.readline(SCAN_CHUNK):
            yield line.rstrip(b"\r\n")


CHECKS: dict[str, Callable[[Path, Path, Limits, bool], None]] = {
    ".glb": check_glb,
    ".gltf": check_gltf,
    ".obj": _check_obj,
    ".ply": _check_ply,
    ".stl": _check_stl,
    ".usdz": _check_usdz,
    ".usd": check_references,
    ".usda": check_references,
    ".usdc": _check_usdc,
    ".dae": _check_dae,
    ".fbx": _check_fbx,
    ".blend": _check_blend,
}
