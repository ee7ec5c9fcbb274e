"""Small renders of prepared assets, each alone. `render_all` runs in a child process."""

from pathlib import Path

import numpy as np

from scenegen.layout.cameras import look_at
from scenegen.layout.spec import CameraSpec

# One of them looks at each face of the tetrahedron.
EYES = ((0.9, 0.8, 1.1), (-1.1, -0.5, -0.8), (0.3, -1.2, 0.6), (-1.2, 0.3, 0.6))
CAMERAS = tuple(CameraSpec(look_at(eye, (0.0, 0.0, 0.0)), 0.8, (64, 64)) for eye in EYES)
SAMPLES = 8


def render_all(store: Path, uids: list[str]) -> dict[str, list[np.ndarray]]:
    """uid -> (64, 64, 4) sRGB uint8 of each camera."""
    from scenegen.assets.library import AssetLibrary
    from scenegen.blender.clean_views import CleanViewRenderer
    from scenegen.config import AssetsConfig, RenderConfig

    library = AssetLibrary.open(AssetsConfig(objects=(str(store),), split="all"))
    renderer = CleanViewRenderer(library, RenderConfig(view_transform="Standard"), "cpu", threads=1)
    try:
        return {uid: [view.rgba for view in renderer.render(uid, CAMERAS, SAMPLES)] for uid in uids}
    finally:
        renderer.close()


def chroma_at(images: list[np.ndarray], place: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """(3,) share of each linear colour at a place of the canonical frame, in the view that sees its side best."""
    eyes = [camera.matrix_world[:3, 3] for camera in CAMERAS]
    best = int(np.argmax([normal @ (eye - place) / np.linalg.norm(eye - place) for eye in eyes]))
    T, K = CAMERAS[best].matrix_world, CAMERAS[best].K_px
    x, y, z = K @ ((place - T[:3, 3]) @ T[:3, :3])
    column, row = int(x / z), int(y / z)
    patch = images[best][row - 1 : row + 2, column - 1 : column + 2, :3].reshape(-1, 3)
    return chroma(patch.mean(axis=0))


def chroma(srgb: np.ndarray) -> np.ndarray:
    linear = (np.asarray(srgb, np.float64) / 255) ** 2.2
    return linear / linear.sum()
