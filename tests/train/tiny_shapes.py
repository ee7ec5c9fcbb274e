"""Small coloured shapes and their pictures, in NumPy: enough to train on, in milliseconds.

Shapes: V vertices, F faces, H W image. Frames: objects canonical (centred, longest side 1, z up), cameras OpenCV.
"""

import itertools
from dataclasses import dataclass

import numpy as np

_BOX_FACES = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ],
    np.int32,
)  # fmt: skip
_CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
_LIGHT = np.array([0.3, -0.5, 0.8])


@dataclass(frozen=True)
class Shape:
    """vertices: (V, 3) float32, canonical. faces: (F, 3) int32. colours: (F, 3) in [0, 1]."""

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray


@dataclass(frozen=True)
class Picture:
    """rgba: (H, W, 4) uint8, straight alpha. depth: (H, W) float32, planar, NaN on nothing. owner: (H, W) int, -1."""

    rgba: np.ndarray
    depth: np.ndarray
    owner: np.ndarray


def boxes(*parts: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of boxes (centre x, y, z, size x, y, z)."""
    vertices = [_CORNERS * part[3:] + part[:3] for part in map(np.array, parts)]
    return np.concatenate(vertices), np.concatenate([_BOX_FACES + 8 * n for n in range(len(parts))])


def ball(rings: int = 6, sectors: int = 10, squeeze: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a ball, flattened along z."""
    polar, azimuth = np.linspace(0, np.pi, rings + 1), np.linspace(0, 2 * np.pi, sectors, endpoint=False)
    p, a = np.meshgrid(polar, azimuth, indexing="ij")
    vertices = np.stack([np.sin(p) * np.cos(a), np.sin(p) * np.sin(a), np.cos(p) * squeeze], -1).reshape(-1, 3)
    row, column = np.meshgrid(np.arange(rings), np.arange(sectors), indexing="ij")
    corner = [(row + i) * sectors + (column + j) % sectors for i in (0, 1) for j in (0, 1)]
    faces = [np.stack([corner[i] for i in order], -1).reshape(-1, 3) for order in ((0, 2, 3), (0, 3, 1))]
    return vertices / 2, np.concatenate(faces).astype(np.int32)


def shape(mesh: tuple[np.ndarray, np.ndarray], seed: int) -> Shape:
    """Canonical, with a colour of its own that varies from face to face."""
    vertices, faces = mesh
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    rng = np.random.default_rng(seed)
    colours = np.clip(rng.uniform(0.15, 0.9, 3) + rng.uniform(-0.15, 0.15, (len(faces), 3)), 0, 1)
    return Shape(((vertices - (low + high) / 2) / (high - low).max()).astype(np.float32), faces, colours)


def tiny_shapes() -> dict[str, Shape]:
    """Eight assets by uid."""
    legs = [(x, y, -0.2, 0.08, 0.08, 0.5) for x in (-0.4, 0.4) for y in (-0.25, 0.25)]
    meshes = {
        "tiny/ball": ball(),
        "tiny/bench": boxes((0, 0, 0, 1, 0.3, 0.08), (-0.4, 0, -0.2, 0.08, 0.3, 0.35), (0.4, 0, -0.2, 0.08, 0.3, 0.35)),
        "tiny/block": boxes((0, 0, 0, 0.7, 0.5, 0.9)),
        "tiny/chair": boxes((0, 0, 0.1, 0.9, 0.6, 0.1), (-0.4, 0, 0.5, 0.08, 0.6, 0.8), *legs),
        "tiny/corner": boxes((0, 0, -0.3, 1, 1, 0.3), (-0.35, 0, 0.15, 0.3, 1, 0.6)),
        "tiny/pebble": ball(squeeze=0.5),
        "tiny/stairs": boxes(*((0.25 * i - 0.4, 0, 0.125 * i - 0.3, 0.25, 0.6, 0.25 * i + 0.25) for i in range(4))),
        "tiny/table": boxes((0, 0, 0.1, 1, 0.7, 0.1), *legs),
    }
    return {uid: shape(mesh, seed) for seed, (uid, mesh) in enumerate(sorted(meshes.items()))}


def draw(
    vertices_cam: np.ndarray, faces: np.ndarray, colours: np.ndarray, owner: np.ndarray, K_px: np.ndarray, size_px: int
) -> Picture:
    """A z-buffer, triangle by triangle. owner: (F,) what each face belongs to. Faces behind the camera are left out."""
    depth = np.full((size_px, size_px), np.inf)
    face_HW = np.full((size_px, size_px), -1)
    pixels = vertices_cam @ K_px.T
    for number in np.flatnonzero((vertices_cam[faces, 2] > 0.05).all(axis=1)):
        corners = pixels[faces[number], :2] / pixels[faces[number], 2:]
        low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, size_px)
        high = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, size_px)
        x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
        frame = np.linalg.inv(np.vstack([corners.T, np.ones(3)]) + 1e-9 * np.eye(3))
        weights = frame @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
        along = 1 / (weights.T @ (1 / vertices_cam[faces[number], 2])).reshape(x.shape)
        window = slice(low[1], high[1]), slice(low[0], high[0])
        nearer = (weights.min(axis=0) >= 0).reshape(x.shape) & (along < depth[window])
        depth[window] = np.where(nearer, along, depth[window])
        face_HW[window] = np.where(nearer, number, face_HW[window])
    hit = face_HW >= 0
    edges = vertices_cam[faces]
    normals = np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    shaded = colours * (0.4 + 0.6 * np.abs(normals @ _LIGHT))[:, None]
    rgb = np.where(hit[..., None], shaded[face_HW], 0)
    rgba = np.dstack([rgb * 255, hit * 255]).round().astype(np.uint8)
    return Picture(rgba, np.where(hit, depth, np.nan).astype(np.float32), np.where(hit, owner[face_HW], -1))


def grown(mask_HW: np.ndarray) -> np.ndarray:
    """A mask with one pixel more on all sides."""
    return np.any([np.roll(mask_HW, by, (0, 1)) for by in itertools.product((-1, 0, 1), repeat=2)], axis=0)
