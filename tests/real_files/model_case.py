"""What a model file is and what must become of it; the shape and the picture that most of the cases use."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

# A tetrahedron without any symmetry, in Blender's axes (z up): a turn, a mirror or a stretch shows.
TETRA = np.array([[0, 0, 0], [2, 0, 0], [0, 1, 0], [0.2, 0.3, 0.7]], dtype=np.float32)
TETRA_FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], dtype=np.uint32)
# One colour a face. A picture of four fields holds them, and all of a face lies in the middle of its field.
PALETTE = ((200, 40, 40), (40, 160, 60), (50, 70, 190), (210, 190, 50))
FIELD_UV = np.array([[0.25, 0.75], [0.75, 0.75], [0.25, 0.25], [0.75, 0.25]], dtype=np.float32)  # v upwards
RED = (231, 89, 89)  # what a linear (0.8, 0.1, 0.1) is in a picture
LINEAR_RED = (0.8, 0.1, 0.1)
DEFAULT_GREY = None


@dataclass(frozen=True)
class Expected:
    """What is right, in Blender's axes (z up) and the file's own units.

    points: (V, 3) all vertices that are to be seen. faces: triangles of them. colours: place on the surface -> sRGB.
    alpha: place -> opacity. refused: what the reason must say, word for word as patterns; then the rest is empty.
    duplicates: how many of the files written beside it are the same asset.
    """

    points: np.ndarray | None = None
    faces: int | None = None
    colours: tuple[tuple[tuple[float, ...], tuple[int, int, int]], ...] = ()
    alpha: tuple[tuple[tuple[float, ...], float], ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelCase:
    """name: also the stem of the file. write: makes the file(s) in an empty folder and says what is right."""

    name: str
    report: str
    write: Callable[[Path], Expected] = field(repr=False)


def refused(*patterns: str) -> Expected:
    return Expected(refused=patterns)


def places(points: np.ndarray = TETRA, faces: np.ndarray = TETRA_FACES) -> list[tuple[float, ...]]:
    """The middle of each face."""
    return [tuple(middle) for middle in np.asarray(points, np.float64)[faces].mean(axis=1).tolist()]


def tetra(*colours: tuple[int, int, int]) -> Expected:
    """The tetrahedron as it is; colours: of all faces, or of each."""
    seen = colours * 4 if len(colours) == 1 else colours
    return Expected(TETRA, 4, tuple(zip(places(), seen, strict=False)))


def moved(points: np.ndarray, *, scale: object = 1, by: object = 0) -> np.ndarray:
    return np.asarray(points, np.float64) * scale + by


def palette_image(size: int = 16, colours: tuple[tuple[int, int, int], ...] = PALETTE) -> Image.Image:
    """The four fields as a picture (the first row above)."""
    fields = np.array(colours, np.uint8).reshape(2, 2, 3)
    return Image.fromarray(fields.repeat(size // 2, axis=0).repeat(size // 2, axis=1))


def separate_faces() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(12, 3) vertices, (4, 3) faces and (12, 2) UVs (v upwards): no vertex is shared, a face has one place in UV."""
    return (
        TETRA[TETRA_FACES].reshape(-1, 3),
        np.arange(12, dtype=np.uint32).reshape(4, 3),
        FIELD_UV.repeat(3, axis=0),
    )
