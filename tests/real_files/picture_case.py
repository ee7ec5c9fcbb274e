"""What an input file of a completion is and what must become of it; the little room that all of them show.

Shapes: H W image.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEIGHT = 48, 32
SIZE_PX = WIDTH, HEIGHT


def _ids() -> np.ndarray:
    """A box and a thing of the form of an L: a turn, a mirror or a shift shows. Even, so that half of it is exact."""
    ids = np.zeros((HEIGHT, WIDTH), np.uint16)
    ids[6:20, 6:18] = 7
    ids[10:28, 26:40] = 9
    ids[10:18, 34:40] = 0
    return ids


IDS = _ids()
OBJECTS = {i: i == IDS for i in (7, 9)}
COLOURS = {0: (90, 110, 130), 7: (200, 40, 60), 9: (40, 160, 80)}
RGB = np.select([(i == IDS)[..., None] for i in COLOURS], [np.array(c) for c in COLOURS.values()]).astype(np.uint8)
# Whole millimetres, so that files of integers lose nothing; a corner is unknown.
DEPTH_MM = (1200 + 30 * np.arange(WIDTH)[None] + 17 * np.arange(HEIGHT)[:, None]).astype(np.uint16)
DEPTH_MM[:3, :3] = 0
DEPTH_M = np.where(DEPTH_MM > 0, DEPTH_MM / 1000, np.nan).astype(np.float32)


@dataclass(frozen=True)
class Refused:
    """said: what the message must say, as a pattern."""

    said: str


@dataclass(frozen=True)
class FileCase:
    """name: of the case. report: where somebody met it, or what it is. write: makes the file in an empty folder and
    names it. right: what is read from it, or `Refused`. tolerance: of that. needs: a package to write it with."""

    name: str
    report: str
    write: Callable[[Path], Path] = field(repr=False)
    right: Any = field(repr=False)
    tolerance: float = 0.0
    needs: str = ""


def png(path: Path, pixels: np.ndarray, said_px: tuple[int, int] | None = None) -> Path:
    """Of 8 or 16 bits, grey or RGB: Pillow does not write RGB of 16 bits. said_px: (width, height) in the header."""
    width, height = said_px or pixels.shape[1::-1]
    bits, kind = 8 * pixels.dtype.itemsize, 0 if pixels.ndim == 2 else 2
    rows = b"".join(b"\0" + row.astype(f">u{pixels.dtype.itemsize}").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    content = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path
