"""Models far from the origin, or of an extreme size, brought near in 64 bits before an importer takes 32 of them.

32-bit numbers have 7 digits: of a house in map coordinates (1e6 m from the origin) they keep steps of 6 cm. Text has
all the digits, and so have the transforms of a glTF file. Where a model lies and how large it is does not matter in the
canonical frame, so both may change here; sizes change by powers of two, which round nothing.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Offset over size, beyond which positions in 32 bits are coarser than the canonical grid.
FAR = 64.0
# Sizes at which importers and Blender compute well: their tolerances and squared squares are far away.
HANDY = (2.0**-12, 2.0**20)


def needs_recentring(low: np.ndarray, high: np.ndarray) -> bool:
    """Whether a bounding box, (3,) each, is not one to compute with in 32 bits (nor is one point, or NaN)."""
    longest, offset = float((high - low).max()), float(np.abs([low, high]).max())
    return not (HANDY[0] <= longest <= HANDY[1] and offset <= FAR * longest)


def power_of_two(longest: float) -> float:
    """The factor that brings a length to 1, within a factor of two; 1 for none. Multiplying by it is exact."""
    return 2.0 ** -math.frexp(longest)[1] if 0 < longest < math.inf else 1.0


def recentred_copy(path: Path, folder: Path) -> Path | None:
    """A copy of a text model in `folder`, centred and of a size of about 1; None if the file is no text with vertices.

    Only the coordinates change. What it names is still to be looked up from the original's folder.
    Raises ValueError for a vertex that is no number.
    """
    points = np.array([_numbers(vertex) for _, vertex in _lines(path) if vertex is not None], dtype=np.float64)
    if not len(points):
        return None
    centre = np.median(points, axis=0)  # a stray vertex far away must not cost the others their digits
    scale = power_of_two(float(np.ptp(points, axis=0).max()))
    copy = folder / path.name
    with copy.open("wb") as out:
        for line, vertex in _lines(path):
            out.write(line if vertex is None else _moved(vertex, centre, scale))
    return copy


@dataclass(frozen=True, slots=True)
class _Vertex:
    """The words of a line that holds a vertex, and which of them are x, y and z."""

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
    """Each line, with its vertex if it has one. Nothing for formats that are no text."""
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
    """Of an ASCII file whose vertices come first, one a line, as all known writers do."""
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
    """Move the nodes of a parsed glTF scene near the origin, where they lie far off and apart; whether that was so.

    Follows the nodes from the roots down to the first that branch or hold something; all move by the same vector, so
    the shape does not change. Skins are left alone: their joints are tied to other numbers.
    """
    scenes, nodes = document.get("scenes", []), document.get("nodes", [])
    if len(scenes) != 1 or document.get("skins"):
        return False
    level = [nodes[index] for index in scenes[0].get("nodes", [])]
    while len(level) == 1 and level[0].keys() & {"children", "mesh"} == {"children"}:
        level = [nodes[index] for index in level[0]["children"]]
    places = np.array([_place(node) for node in level], dtype=np.float64).reshape(-1, 3)
    if len(level) < 2 or np.abs(places).max() <= FAR * np.ptp(places, axis=0).max():
        return False
    for node, place in zip(level, places - np.median(places, axis=0), strict=True):
        if "matrix" in node:
            node["matrix"][12:15] = place.tolist()
        else:
            node["translation"] = place.tolist()
    return True


def _place(node: dict[str, Any]) -> list[float]:
    return node["matrix"][12:15] if "matrix" in node else node.get("translation", [0.0, 0.0, 0.0])
