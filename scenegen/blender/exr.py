"""Reads the uncompressed scan-line EXR files of the exact passes."""

import struct
from pathlib import Path

import numpy as np

from scenegen.errors import SceneError

_MAGIC = 20000630
_FLOAT = 2


def read_exr(path: Path) -> dict[str, np.ndarray]:
    """The channels of a single-part, uncompressed, 32-bit float scanline EXR as {name: (H, W) float32}.

    In such files from Blender all rows have the same size, so that a whole file is one NumPy view, and so is
    each channel of it.
    Raises SceneError if the file is of another kind or cut short.
    """
    data = path.read_bytes()
    if len(data) < 8 or struct.unpack_from("<i", data)[0] != _MAGIC:
        raise SceneError(f"{path.name} is not an EXR file; the render did not finish")
    attributes, offset = _header(data)
    x0, y0, x1, y1 = struct.unpack("<4i", attributes["dataWindow"])
    width, height = x1 - x0 + 1, y1 - y0 + 1
    names = _float_channels(attributes["channels"])
    if attributes["compression"] != b"\0":
        raise SceneError(f"{path.name} is compressed; passes must be written without compression")
    row = np.dtype([("y", "<i4"), ("bytes", "<i4"), ("data", "<f4", (len(names), width))])
    offset += 8 * height  # skip the table of row offsets: rows are stored one after the other
    if len(data) < offset + row.itemsize * height:
        raise SceneError(f"{path.name} is cut short; is the disk of the temporary folder full?")
    rows = np.frombuffer(data, row, height, offset)["data"]
    return {name: rows[:, i] for i, name in enumerate(names)}


def _header(data: bytes) -> tuple[dict[str, bytes], int]:
    attributes: dict[str, bytes] = {}
    offset = 8
    while data[offset] != 0:
        name, offset = _string(data, offset)
        _, offset = _string(data, offset)
        (size,) = struct.unpack_from("<i", data, offset)
        attributes[name] = data[offset + 4 : offset + 4 + size]
        offset += 4 + size
    return attributes, offset + 1


def _float_channels(raw: bytes) -> list[str]:
    names, offset = [], 0
    while raw[offset] != 0:
        name, offset = _string(raw, offset)
        (kind,) = struct.unpack_from("<i", raw, offset)
        if kind != _FLOAT:
            raise SceneError(f"EXR channel {name} is not 32-bit float")
        names.append(name)
        offset += 16
    return names


def _string(data: bytes, offset: int) -> tuple[str, int]:
    end = data.index(b"\0", offset)
    return data[offset:end].decode(), end + 1
