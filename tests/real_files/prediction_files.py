"""GLBs of completed objects after other programs had them, as `fixer-evaluate` is given them."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.real_files.picture_case import FileCase, Refused

POINTS = np.array([[0, 0, 0], [2, 0, 0], [0, 1, 0], [0.2, 0.3, 0.7]], np.float32)
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], np.uint16)
LINEAR = np.array([0.5, 0.25, 0.125, 1.0], np.float32)
SRGB = (188, 137, 99)  # of that
SHORT_MAX = 32767
FLOAT, SHORT, USHORT = 5126, 5122, 5123


def _glb(
    name: str, positions: np.ndarray, node: dict[str, Any] | None = None, normalised: bool = False, needs: str = ""
) -> Callable[[Path], Path]:
    """One node of one mesh. Rows of the positions must be multiples of four bytes long."""
    width = positions.shape[1] * positions.dtype.itemsize
    kind = FLOAT if positions.dtype == np.float32 else SHORT
    blobs = [positions.tobytes(), np.tile(LINEAR, len(positions)).tobytes(), FACES.tobytes()]
    starts = np.cumsum([0, *map(len, blobs)]).tolist()
    views = [
        {"buffer": 0, "byteOffset": start, "byteLength": len(one)} for start, one in zip(starts, blobs, strict=False)
    ]
    views[0]["byteStride"] = width
    accessors = [
        {"bufferView": 0, "componentType": kind, "count": 4, "type": "VEC3", "normalized": normalised},
        {"bufferView": 1, "componentType": FLOAT, "count": 4, "type": "VEC4"},
        {"bufferView": 2, "componentType": USHORT, "count": FACES.size, "type": "SCALAR"},
    ]
    accessors[0] |= {"min": positions[:, :3].min(0).tolist(), "max": positions[:, :3].max(0).tolist()}
    document = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, **(node or {})}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "COLOR_0": 1}, "indices": 2}]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": starts[-1]}],
        "extensionsRequired": [needs] if needs else [],
    }

    def write(folder: Path) -> Path:
        text = json.dumps(document).encode()
        text += b" " * (-len(text) % 4)
        binary = b"".join(blobs)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
        (folder / name).write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
        return folder / name

    return write


SHORTS = np.pad(np.round(POINTS / 2 * SHORT_MAX), ((0, 0), (0, 1))).astype(np.int16)  # a fourth for the length of a row
PREDICTIONS = [
    FileCase("plain", "as it was written", _glb("7.glb", POINTS), SRGB),
    FileCase("upper case", "7.GLB: its colours are linear, too", _glb("7.GLB", POINTS), SRGB),
    FileCase(
        "integers", "gltfpack: integers and a scale", _glb("7.glb", SHORTS, {"scale": [2 / SHORT_MAX] * 3}), SRGB, 1e-4
    ),
    FileCase(
        "normalised integers",
        "glTFRuntime 57: quantised positions come out at another scale",
        _glb("7.glb", SHORTS, {"scale": [2, 2, 2]}, normalised=True, needs="KHR_mesh_quantization"),
        Refused("quantization.*export it again"),
    ),
    FileCase(
        "draco",
        "compressed by a viewer's tool",
        _glb("7.glb", POINTS, needs="KHR_draco_mesh_compression"),
        Refused("draco.*without compression"),
    ),
]
