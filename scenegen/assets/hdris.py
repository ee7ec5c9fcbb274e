"""Environment maps: the CC0 maps inside the bpy wheel, and folders of .exr/.hdr files.

The format is read from a file's header, not from its name, and its size is checked before anything decodes it.
"""

import hashlib
import importlib.util
import re
import struct
from collections.abc import Iterable
from pathlib import Path

from scenegen.assets.files import FileLibrary, Found, open_folder
from scenegen.assets.manifest import AssetRecord, read_manifest
from scenegen.assets.package_data import MANIFESTS
from scenegen.config import AssetsConfig
from scenegen.errors import SceneGenError, UsageError

BPY = "bpy"
BPY_MANIFEST = MANIFESTS / "hdris" / "bpy.jsonl"
SUFFIXES = (".exr", ".hdr")
MAX_BYTES = 1 << 30
MAX_SIDE_PX = 32768
# Scan lines in a block, by the compression code in the header (OpenEXR file layout).
EXR_BLOCK_LINES = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256}


class HdriLibrary(FileLibrary):
    """Environment maps by uid; see FileLibrary."""

    @classmethod
    def open(cls, config: AssetsConfig) -> "HdriLibrary":
        """The maps that the configuration names, filtered by licence. Splits do not apply: they are of objects.

        Raises UsageError for a folder that is not there or holds no map, SceneGenError for a file that is not one.
        """
        found: dict[str, Found] = {}
        for name in config.hdris:
            found |= _bpy_maps() if name == BPY else open_folder(name, "environment map", index_folder)
        kept = {u: f for u, f in found.items() if not config.licences or f.record.licence in config.licences}
        if config.hdris and not kept:
            raise UsageError(f"no environment map in {', '.join(config.hdris)} has one of the licences asked for")
        return cls(kept)


def datafiles_folder() -> Path:
    """Blender's data files inside the bpy wheel, found without importing bpy. Raises SceneGenError if not there."""
    spec = importlib.util.find_spec("bpy")
    if spec is None or spec.origin is None:
        raise SceneGenError("bpy is not installed, and its maps come with it; run: pip install 'fixer3d[render]'")
    for world in sorted(Path(spec.origin).parent.glob("*/datafiles/studiolights/world")):
        return world
    raise SceneGenError(f"this bpy ({spec.origin}) has no environment maps; give a folder of .exr/.hdr files")


def _bpy_maps() -> dict[str, Found]:
    root = datafiles_folder()
    return {record.uid: Found(record, root / record.file) for record in read_manifest(BPY_MANIFEST)}


def index_folder(root: Path) -> Iterable[AssetRecord]:
    """Records of all .exr and .hdr files below `root`. Raises SceneGenError for one that is not what it says."""
    for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()):
        yield hdri_record(path, root)


def hdri_record(
    path: Path, root: Path, source: str = "", licence: str = "NOASSERTION", author: str = ""
) -> AssetRecord:
    """The record of one map below `root`. Raises SceneGenError for a file that is none."""
    width, height = read_size(path)
    data = path.read_bytes()
    relative = path.relative_to(root)
    return AssetRecord(
        uid=f"{source or root.name}/{relative.with_suffix('')}",
        source=source or root.name,
        file=str(relative),
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        licence=licence,
        author=author,
        attribution=f"{path.stem} by {author}, {licence}" if author else "",
        commercial_use=licence.startswith(("CC0", "CC-BY-")) and "NC" not in licence,
        split="train",
        name=f"{path.stem} {width}x{height}",
        category="environment",
    )


def read_size(path: Path) -> tuple[int, int]:
    """(width, height) of an OpenEXR or Radiance file, from its header.

    Raises SceneGenError naming what is wrong: not such a file, cut short, or a size that cannot be meant.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise SceneGenError(f"{path} has {size} bytes; the limit for an environment map is {MAX_BYTES}")
    with path.open("rb") as file:
        head = file.read(1 << 20)
    try:
        if head[:4] == b"\x76\x2f\x31\x01":
            width, height, last_block = _exr_size(head)
            _refuse_cut_exr(path, last_block, size)
        elif head.startswith((b"#?RADIANCE", b"#?RGBE")):
            width, height = _radiance_size(head, size)
        else:
            raise ValueError("its first bytes are those of neither OpenEXR nor Radiance")
        if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
            raise ValueError(f"{width} x {height} pixels")
    except (ValueError, struct.error, IndexError) as error:
        raise SceneGenError(f"{path} is not an HDR map ({error}); remove it or get it again") from None
    return width, height


def _radiance_size(head: bytes, size: int) -> tuple[int, int]:
    match = re.search(rb"\n\s*\n[-+]([YX]) (\d+) [-+]([YX]) (\d+)\s*\n", head)
    if match is None:
        raise ValueError("no resolution line")
    first, second = int(match[2]), int(match[4])
    if size - match.end() < min(first, second) * 4:
        raise ValueError(f"cut short at {size} bytes")
    return (second, first) if match[1] == b"Y" else (first, second)


def _refuse_cut_exr(path: Path, last_block: int, size: int) -> None:
    """Raises ValueError if the last block of pixels ends beyond the file. last_block: its offset; 0 if unknown."""
    if last_block:
        with path.open("rb") as file:
            file.seek(last_block)
            block = file.read(8)
        if len(block) < 8 or last_block + 8 + struct.unpack("<ii", block)[1] > size:
            raise ValueError(f"cut short at {size} bytes")


def _exr_size(head: bytes) -> tuple[int, int, int]:
    """(width, height, offset of the last block of scan lines in the file; 0 for tiled, deep or multi-part files)."""
    attributes, end = _exr_attributes(head)
    if "dataWindow" not in attributes or "channels" not in attributes:
        raise ValueError("an OpenEXR header without dataWindow or channels")
    x0, y0, x1, y1 = struct.unpack("<4i", attributes["dataWindow"])
    width, height = x1 - x0 + 1, y1 - y0 + 1
    plain = not struct.unpack_from("<I", head, 4)[0] & 0x1A00  # not tiled, deep or multi-part
    lines = EXR_BLOCK_LINES.get(attributes.get("compression", b"\xff")[0])
    if not plain or not lines or not 0 < height <= MAX_SIDE_PX:
        return width, height, 0
    return width, height, max(struct.unpack_from(f"<{-(-height // lines)}Q", head, end))


def _exr_attributes(head: bytes) -> tuple[dict[str, bytes], int]:
    """Name -> raw value, and where the header ends."""
    attributes, at = {}, 8
    while head[at] != 0:
        name_end = head.index(b"\0", at)
        type_end = head.index(b"\0", name_end + 1)
        (length,) = struct.unpack_from("<i", head, type_end + 1)
        first = type_end + 5
        if length < 0 or first + length > len(head):
            raise ValueError("an OpenEXR header that does not end")
        attributes[head[at:name_end].decode("latin-1")] = head[first : first + length]
        at = first + length
    return attributes, at + 1
