"""The files that a model file refers to: material libraries, textures, buffers, layers. Nothing is checked here.

Formats with readable references (OBJ, glTF, PLY, USD text, COLLADA) are parsed. In FBX and .blend files the bytes are
searched for names of images. USDZ contains all its files. The strings of a USD crate are compressed and are not read.
"""

import contextlib
import json
import mmap
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from scenegen.assets.files import IMAGE_SUFFIXES
from scenegen.assets.model_files import mtl, ply
from scenegen.assets.model_files.lookup import DAE_IMAGE, USD_ASSET, find_file

LIBRARY, TEXTURE, BUFFER, LAYER = "material library", "texture", "buffer", "layer"

_IMAGE_NAME_END = re.compile(rb"\.(?:png|jpe?g|tga|bmp|tiff?|webp|exr|hdr|dds|gif)", re.IGNORECASE)
_NAME_START = re.compile(rb"[^\x00-\x1f\"<>|*?]*\Z")
_LONGEST_NAME = 512


@dataclass(frozen=True, slots=True)
class Reference:
    """A file that another file names.

    name: as written. by: the file that names it. what: LIBRARY, TEXTURE, BUFFER or LAYER.
    certain: False if the name was only found by a search among the bytes of a format that is not parsed.
    """

    name: str
    by: Path
    what: str
    certain: bool = True

    @property
    def target(self) -> Path:
        """The path that the name gives, from the folder of the file that names it; it need not exist."""
        return self.by.parent / self.name.replace("\\", "/")

    def found(self, root: Path) -> Path | None:
        """The existing file below `root` that is referred to (see lookup.py); None if there is none."""
        return find_file(self.name, self.by.parent, root)


def references(path: Path, root: Path) -> Iterator[Reference]:
    """What a model refers to, directly and through other files. A file comes before its own references.

    Only files below `root` are opened. Raises ValueError, KeyError, TypeError, AttributeError or struct.error for a
    malformed file.
    """
    waiting, seen = [(path, _READERS.get(path.suffix.lower()))], {path.resolve()}
    while waiting:
        by, read = waiting.pop()
        for reference in read(by, root) if read else ():
            yield reference
            found = reference.found(root) if reference.what in (LIBRARY, LAYER) else None
            if found is not None and found not in seen:
                seen.add(found)
                waiting.append((found, _mtl if reference.what == LIBRARY else _READERS.get(found.suffix.lower())))


@contextlib.contextmanager
def _bytes_of(path: Path) -> Iterator[mmap.mmap | bytes]:
    """The file's bytes, mapped into memory unless the file is empty."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace").strip()


def _obj(path: Path, root: Path) -> Iterator[Reference]:
    """Its material libraries, and the one with the model's own name, which importers read too."""
    own = path.with_suffix(".mtl").name
    for name in dict.fromkeys([*mtl.libraries(path), *([own] if find_file(own, path.parent, root) else [])]):
        yield Reference(name, path, LIBRARY)


def _mtl(path: Path, root: Path) -> Iterator[Reference]:
    del root
    maps = [argument for key, argument in mtl.statements(path) if argument and mtl.MAP_KEYS.fullmatch(key)]
    for name in dict.fromkeys(mtl.map_name(argument)[1] for argument in maps):
        yield Reference(name, path, TEXTURE)


def _ply(path: Path, root: Path) -> Iterator[Reference]:
    del root
    with path.open("rb") as file:
        header = file.read(1 << 16).partition(b"end_header")[0].decode("utf-8", "replace")
    if name := ply.texture_name(header):
        yield Reference(name, path, TEXTURE)


def _gltf(path: Path, root: Path) -> Iterator[Reference]:
    del root
    yield from gltf_references(json.loads(path.read_bytes()), path)


def _glb(path: Path, root: Path) -> Iterator[Reference]:
    """References in the JSON chunk, which comes first; the binary chunk is not read."""
    del root
    with path.open("rb") as file:
        magic, length, kind = struct.unpack("<4s8xI4s", file.read(20))
        if magic == b"glTF" and kind == b"JSON":
            yield from gltf_references(json.loads(file.read(length)), path)


def gltf_references(document: dict[str, Any], path: Path) -> Iterator[Reference]:
    """The buffers and images that a parsed glTF document names."""
    for key, what in (("buffers", BUFFER), ("images", TEXTURE)):
        for item in document.get(key, []):
            uri = item.get("uri", "data:")
            if not uri.startswith("data:"):
                yield Reference(unquote(uri), path, what)


def _usd(path: Path, root: Path) -> Iterator[Reference]:
    del root
    with _bytes_of(path) as data:
        names = [] if data[:8] == b"PXR-USDC" else [_text(match[2]) for match in USD_ASSET.finditer(data)]
    for name in dict.fromkeys(names):
        yield Reference(name, path, TEXTURE if name.lower().endswith(IMAGE_SUFFIXES) else LAYER)


def _dae(path: Path, root: Path) -> Iterator[Reference]:
    del root
    with _bytes_of(path) as data:
        names = [unquote(_text(match[2])).removeprefix("file:") for match in DAE_IMAGE.finditer(data)]
    for name in dict.fromkeys(names):
        if name.lower().endswith(IMAGE_SUFFIXES):
            yield Reference(name, path, TEXTURE)


def _images_named(path: Path, root: Path) -> Iterator[Reference]:
    """Strings in a binary file that end like the name of an image. A string begins after a byte that is no text."""
    del root
    names: dict[str, None] = {}
    with _bytes_of(path) as data:
        for match in _IMAGE_NAME_END.finditer(data):
            before = data[max(match.start() - _LONGEST_NAME, 0) : match.start()]
            start = _NAME_START.search(before)
            names[_text((start[0] if start else b"") + match[0])] = None
    for name in names:
        yield Reference(name, path, TEXTURE, certain=False)


_READERS: dict[str, Callable[[Path, Path], Iterator[Reference]]] = {
    ".obj": _obj,
    ".ply": _ply,
    ".gltf": _gltf,
    ".glb": _glb,
    ".usd": _usd,
    ".usda": _usd,
    ".dae": _dae,
    ".fbx": _images_named,
    ".blend": _images_named,
}
