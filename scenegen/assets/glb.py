"""Reads and packs canonical GLB files with NumPy: one such file holds all of a prepared asset.

A prepared asset is a standard GLB (any viewer opens it): one mesh under one identity node, y up, with its materials
and textures. Positions are normalised 16-bit integers (KHR_mesh_quantization, step 3e-5 of the longest side), which
halves the file; the decoded values *are* the canonical vertices, so what is read here and what Blender imports agree
exactly. The convex collision parts are stored in the same file as two accessors that only `extras` refers to.

V: vertices. F: faces. P: vertices of all convex parts.
"""

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scenegen.assets.canonical import GRID

MAGIC, JSON_CHUNK, BIN_CHUNK = b"glTF", b"JSON", b"BIN\0"
DTYPES = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
COMPONENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
CODES = {np.dtype(dtype): code for code, dtype in DTYPES.items()}
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963


class GlbError(ValueError):
    """The bytes are not a usable GLB; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Glb:
    """A parsed GLB: its JSON and its binary chunk."""

    json: dict[str, Any]
    binary: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> "Glb":
        """Raises GlbError naming the first thing that is wrong (truncated file, no JSON, bad chunk)."""
        if len(data) < 20 or data[:4] != MAGIC:
            raise GlbError("not a GLB file (no glTF magic)")
        version, length = struct.unpack_from("<II", data, 4)
        if version != 2:
            raise GlbError(f"glTF version {version}; only 2 is supported")
        if length != len(data):
            raise GlbError(f"truncated GLB: {len(data)} of {length} bytes")
        chunks = dict(_chunks(data))
        if JSON_CHUNK not in chunks:
            raise GlbError("no JSON chunk")
        try:
            document = json.loads(chunks[JSON_CHUNK].decode())
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise GlbError(f"bad JSON chunk ({error})") from None
        if not isinstance(document, dict):
            raise GlbError("bad JSON chunk (not an object)")
        return cls(document, chunks.get(BIN_CHUNK, b""))

    def to_bytes(self) -> bytes:
        """The file. Equal contents give equal bytes."""
        text = json.dumps(self.json, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 4)
        binary = self.binary + b"\0" * (-len(self.binary) % 4)
        body = struct.pack("<I4s", len(text), JSON_CHUNK) + text + struct.pack("<I4s", len(binary), BIN_CHUNK) + binary
        return struct.pack("<4sII", MAGIC, 2, 12 + len(body)) + body

    def view_bytes(self, index: int) -> bytes:
        """The raw bytes of a buffer view. Raises GlbError if it leaves the binary chunk."""
        view = self.json["bufferViews"][index]
        first = view.get("byteOffset", 0)
        if view.get("buffer", 0) != 0 or first < 0 or first + view["byteLength"] > len(self.binary):
            raise GlbError(f"buffer view {index} leaves the binary chunk")
        return self.binary[first : first + view["byteLength"]]

    def accessor(self, index: int) -> np.ndarray:
        """(count, components) array of an accessor as stored. Raises GlbError if it leaves its buffer view."""
        try:
            spec = self.json["accessors"][index]
            dtype = np.dtype(DTYPES[spec["componentType"]])
            width, count = COMPONENTS[spec["type"]], int(spec["count"])
            view = self.json["bufferViews"][spec["bufferView"]]
        except (KeyError, IndexError, TypeError) as error:
            raise GlbError(f"accessor {index} is malformed ({error!r})") from None
        data = self.view_bytes(spec["bufferView"])
        stride = view.get("byteStride", width * dtype.itemsize)
        offset = spec.get("byteOffset", 0)
        if count < 0 or offset < 0 or offset + max(count - 1, 0) * stride + width * dtype.itemsize > len(data):
            raise GlbError(f"accessor {index} leaves its buffer view")
        array: np.ndarray = np.ndarray((count, width), dtype, data, offset, (stride, dtype.itemsize))
        return np.ascontiguousarray(array)

    def decoded(self, index: int) -> np.ndarray:
        """Like `accessor`, with normalised integers converted to float32 as the glTF specification says."""
        raw = self.accessor(index)
        if raw.dtype == np.float32 or not self.json["accessors"][index].get("normalized"):
            return raw
        return np.maximum(raw.astype(np.float32) / np.float32(np.iinfo(raw.dtype).max), np.float32(-1))


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, offset = [], 12
    while offset + 8 <= len(data):
        length, kind = struct.unpack_from("<I4s", data, offset)
        if offset + 8 + length > len(data):
            raise GlbError(f"truncated GLB: a chunk of {length} bytes ends after the file")
        chunks.append((kind, data[offset + 8 : offset + 8 + length]))
        offset += 8 + length
    return chunks


def z_up(points: np.ndarray) -> np.ndarray:
    """(N, 3) points from glTF's axes (y up) to those of the canonical frame (z up). The inverse of `y_up`."""
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)


def y_up(points: np.ndarray) -> np.ndarray:
    """(N, 3) points from the canonical frame's axes (z up) to those of glTF (y up)."""
    return np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1)


def corners(glb: Glb) -> np.ndarray:
    """(F, 3, 3) float32: the triangles' corners in the canonical frame, in the file's order. Raises GlbError."""
    meshes = glb.json.get("meshes") or []
    if len(meshes) != 1:
        raise GlbError(f"{len(meshes)} meshes; a canonical GLB has one")
    triangles = []
    for primitive in meshes[0]["primitives"]:
        points = glb.decoded(primitive["attributes"]["POSITION"])
        index = glb.accessor(primitive["indices"])[:, 0]
        if primitive.get("mode", 4) != 4 or len(index) % 3 or (len(index) and int(index.max()) >= len(points)):
            raise GlbError("a primitive is not a list of triangles over its vertices")
        triangles.append(z_up(points)[index].reshape(-1, 3, 3))
    return np.concatenate(triangles) if triangles else np.zeros((0, 3, 3), np.float32)


def convex_parts(glb: Glb) -> tuple[np.ndarray, ...]:
    """Hull vertices of each convex part, (P_i, 3) float32, canonical frame. Raises GlbError if there are none."""
    try:
        extras = glb.json["extras"]["scenegen"]
        points, ends = glb.accessor(extras["part_vertices"]), glb.accessor(extras["part_ends"])[:, 0]
    except (KeyError, TypeError):
        raise GlbError("no convex parts; prepare the asset again") from None
    starts = np.concatenate([[0], ends[:-1]])
    return tuple(points[a:b].astype(np.float32) for a, b in zip(starts, ends, strict=True))


def pack(exported: Glb, parts: tuple[np.ndarray, ...], facts: dict[str, Any], copyright_text: str) -> Glb:
    """The canonical GLB of an exported one: vertices quantised, unused data dropped, convex parts and facts added.

    parts: (P, 3) hull vertices of each, canonical frame. facts: more entries of `extras`.
    """
    packer = _Packer(exported)
    for mesh in packer.json["meshes"]:
        mesh.pop("name", None)
        for primitive in mesh["primitives"]:
            packer.primitive(primitive)
    for image in packer.json.get("images", []):
        image["bufferView"] = packer.view(exported.view_bytes(image["bufferView"]))
    points = np.concatenate(parts).astype(np.float32)
    ends = np.cumsum([len(part) for part in parts]).astype(np.uint32)
    extras = {**facts, "part_vertices": packer.accessor(points), "part_ends": packer.accessor(ends[:, None])}
    document = packer.json
    document["extras"] = {"scenegen": extras}
    document["asset"] = {"version": "2.0", "generator": "scenegen assets prepare", "copyright": copyright_text}
    for key in ("extensionsUsed", "extensionsRequired"):
        document[key] = sorted({*document.get(key, ()), "KHR_mesh_quantization"})
    document["buffers"] = [{"byteLength": len(packer.binary)}]
    return Glb(document, bytes(packer.binary))


class _Packer:
    """Builds the new binary chunk while the JSON's indices are rewritten."""

    def __init__(self, source: Glb) -> None:
        self.source = source
        self.json = json.loads(json.dumps(source.json))
        self.json["accessors"], self.json["bufferViews"] = [], []
        self.binary = bytearray()

    def view(self, data: bytes, **extra: int) -> int:
        self.binary += b"\0" * (-len(self.binary) % 4)
        self.json["bufferViews"].append({"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data), **extra})
        self.binary += data
        return len(self.json["bufferViews"]) - 1

    def accessor(self, array: np.ndarray, normalized: bool = False, bounds: bool = False, target: int = 0) -> int:
        """Store (count, width) values; rows are padded to four bytes as glTF wants vertex data aligned."""
        row = array.shape[1] * array.itemsize
        stride = row + (-row % 4) if target == ARRAY_BUFFER else row
        padded = np.zeros((len(array), stride), np.uint8)
        padded[:, :row] = np.ascontiguousarray(array).view(np.uint8).reshape(len(array), row)
        extra = {"target": target} if target else {}
        if stride != row:
            extra["byteStride"] = stride
        spec: dict[str, Any] = {
            "bufferView": self.view(padded.tobytes(), **extra),
            "componentType": CODES[array.dtype],
            "count": len(array),
            "type": {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}[array.shape[1]],
        }
        if normalized:
            spec["normalized"] = True
        if bounds:
            spec["min"], spec["max"] = array.min(axis=0).tolist(), array.max(axis=0).tolist()
        self.json["accessors"].append(spec)
        return len(self.json["accessors"]) - 1

    def primitive(self, primitive: dict[str, Any]) -> None:
        """Quantise the attributes, merge vertices that became equal, keep the order of the triangles."""
        columns = {name: _quantised(name, self.source.decoded(i)) for name, i in primitive["attributes"].items()}
        rows = np.concatenate(
            [np.ascontiguousarray(c).view(np.uint8).reshape(len(c), -1) for c in columns.values()], axis=1
        )
        _, first, inverse = np.unique(
            np.ascontiguousarray(rows).view(f"V{rows.shape[1]}")[:, 0], return_index=True, return_inverse=True
        )
        index = inverse[self.source.accessor(primitive["indices"])[:, 0]]
        small = np.uint16 if len(first) < 65535 else np.uint32
        primitive["attributes"] = {
            name: self.accessor(
                column[first], column.dtype != np.float32, bounds=name == "POSITION", target=ARRAY_BUFFER
            )
            for name, column in columns.items()
        }
        primitive["indices"] = self.accessor(index[:, None].astype(small), target=ELEMENT_ARRAY_BUFFER)


def _quantised(name: str, values: np.ndarray) -> np.ndarray:
    """The smallest type without a visible loss: positions 16 bits, normals 8, UVs 16 if they lie in [0, 1]."""
    if name == "POSITION":
        return np.rint(values * GRID).astype(np.int16)
    if name == "NORMAL":
        return np.rint(np.clip(values, -1, 1) * 127).astype(np.int8)
    if name.startswith("TEXCOORD") and len(values) and values.min() >= 0 and values.max() <= 1:
        return np.rint(values * 65535).astype(np.uint16)
    if name.startswith("COLOR"):
        return np.rint(np.clip(values, 0, 1) * 65535).astype(np.uint16)
    return values.astype(np.float32)


def read_glb(path: Path) -> Glb:
    """Read a file. Raises GlbError, OSError."""
    return Glb.from_bytes(path.read_bytes())
