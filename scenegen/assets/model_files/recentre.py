"""Recentres models that are far from the origin or of an extreme size, in 64 bits, before an importer uses 32 bits.

32-bit numbers have 7 digits: a house in map coordinates (1e6 m from the origin) keeps steps of 6 cm. Text files have
all digits, and so do the transforms of a glTF file. Position and size do not matter in the canonical frame, so both may
change here. Sizes change by powers of two, which round nothing.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Offset divided by size above which 32-bit positions are coarser than the canonical grid.
FAR = 64.0
# Sizes at which importers and Blender compute well: far from their tolerances, and from overflow in fourth powers.
SAFE_SIZES = (2.0**-12, 2.0**20)


def needs_recentring(low: np.ndarray, high: np.ndarray) -> bool:
    """Whether 32-bit numbers do not suit a bounding box, (3,) each; True also for a single point, and for NaN."""
    longest, offset = float((high - low).max()), float(np.abs([low, high]).max())
    return not (SAFE_SIZES[0] <= longest <= SAFE_SIZES[1] and offset <= FAR * longest)


def power_of_two(longest: float) -> float:
    """The power of two that scales a length to between 1/2 and 1; 1 for a length of 0. Multiplying by it is exact."""
    return 2.0 ** -math.frexp(longest)[1] if 0 < longest < math.inf else 1.0


def recentred_copy(path: Path, folder: Path) -> Path | None:
    """Write a copy of a text model into `folder`, centred and about 1 long; None if it is no text with vertices.

    Only the coordinates change. Files that it names are still to be looked up from the original's folder.
    Raises ValueError for a vertex that is no number.
    """
    points = np.array([_numbers(vertex) for _, vertex in _lines(path) if vertex is not None], dtype=np.float64)
    if not len(points):
        return None
    centre = np.median(points, axis=0)  # a single vertex far away must not cost the others their digits
    scale = power_of_two(float(np.ptp(points, axis=0).max()))
    copy = folder / path.name
    with copy.open("wb") as out:
        for line, vertex in _lines(path):
            out.write(line if vertex is None else _moved(vertex, centre, scale))
    return copy


@dataclass(frozen=True, slots=True)
class _Vertex:
    """The words of a line that holds a vertex, and the positions of x, y and z among them."""

    words: list[bytes]
    columns: tuple[int, ...]


def _numbers(vertex: _Vertex) -> list[float]:
    return [float(vertex.words[column]) for column in vertex.columns]


def _moved(vertex: _Vertex, centre: np.ndarray, scale: float) -> bytes:
    words = list(vertex.words)
    for column, value in zip(vertex.columns, (np.array(_numbers(vertex)) - centre) * scale, strict=True):
        words[column] = repr(float(value)).encode()
    return b" ".join(words) + b"\n"


def _lines(path: Path) -> Iterator[tuple[bytes, _Vertex | None]]:
    """Each line, with its vertex if it has one. Nothing for binary formats."""
    return {".obj": _obj_lines, ".stl": _stl_lines, ".ply": _ply_lines}.get(path.suffix.lower(), _no_lines)(path)


def _no_lines(path: Path) -> Iterator[tuple[bytes, _Vertex | None]]:
    del path
    return iter(())


def _obj_lines(path: Path, key: bytes = b"v") -> Iterator[tuple[bytes, _Vertex | None]]:
    with path.open("rb") as file:
        for line in file:
            words = line.split()
            yield line, _Vertex(words, (1, 2, 3)) if len(words) > 3 and words[0] == key else None


def _stl_lines(path: Path) -> Iterator[tuple[bytes, _Vertex | None]]:
    with path.open("rb") as file:
        head = file.read(1024)
    if head.lstrip().startswith(b"solid") and b"\0" not in head:
        yield from _obj_lines(path, b"vertex")


def _ply_lines(path: Path) -> Iterator[tuple[bytes, _Vertex | None]]:
    """The lines of an ASCII file whose vertices come first, one per line, as all known writers have it."""
    with path.open("rb") as file:
        header = []
        while (line := file.readline()) and line.strip() != b"end_header":
            header.append(line.split())
        elements = [index for index, words in enumerate(header) if words[:1] == [b"element"]]
        if [b"format", b"ascii"] not in [words[:2] for words in header] or header[elements[0]][1] != b"vertex":
            return
        names = [words[-1] for words in header[elements[0] + 1 :] if words[:1] == [b"property"]]
        columns, count = tuple(names.index(name) for name in (b"x", b"y", b"z")), int(header[elements[0]][2])
        yield from ((b" ".join(words) + b"\n", None) for words in [*header, [b"end_header"]])
        for index, line in enumerate(file):
            yield line, _Vertex(line.split(), columns) if index < count else None


def recentre_gltf(document: dict[str, Any]) -> bool:
    """Move the nodes of a parsed glTF scene near the origin if they are far from it; returns whether they were moved.

    Follows the nodes from the roots down to the first that branch or hold a mesh. All of these move by the same vector,
    so that the shape does not change. Scenes with skins are left alone, because joints depend on other numbers.
    """
    scenes, nodes = document.get("scenes", []), document.get("nodes", [])
    if len(scenes) != 1 or document.get("skins"):
        return False
    level = [nodes[index] for index in scenes[0].get("nodes", [])]
    while len(level) == 1 and level[0].keys() & {"children", "mesh"} == {"children"}:
        level = [nodes[index] for index in level[0]["children"]]
    positions = np.array([_position(node) for node in level], dtype=np.float64).reshape(-1, 3)
    if len(level) < 2 or np.abs(positions).max() <= FAR * np.ptp(positions, axis=0).max():
        return False
    for node, position in zip(level, positions - np.median(positions, axis=0), strict=True):
        if "matrix" in node:
            node["matrix"][12:15] = position.tolist()
        else:
            node["translation"] = position.tolist()
    return True


def _position(node: dict[str, Any]) -> list[float]:
    return node["matrix"][12:15] if "matrix" in node else node.get("translation", [0.0, 0.0, 0.0])
