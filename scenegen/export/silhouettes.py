"""The silhouette of each object as if it were alone, by casting rays through pixel centres at its mesh.

By the rule of the facts in the shard (scenegen/layout/facts.py), so that the areas agree.
"""

import math
from typing import Any

import numpy as np

from scenegen.contract.records import BACKGROUND_ID, FIRST_OBJECT_ID, OPAQUE, View, ViewObject
from scenegen.errors import SceneGenError
from scenegen.export.shapes import Shapes

CANVAS = 1
"""How many frames a silhouette is followed beyond each side of the image; the BOP toolkit's canvas."""
NEAR_M = 1e-3


class Silhouettes:
    """Silhouettes in one scene; meshes are put in place once."""

    def __init__(self, shapes: Shapes, transparent: str) -> None:
        """transparent: what ids show behind glass, as `Dataset.transparent`. Raises SceneGenError without Embree."""
        try:
            import embreex  # noqa: F401
        except ImportError:
            raise SceneGenError("silhouettes need Embree; pip install 'fixer3d[formats]'") from None
        self._shapes = shapes
        self._lowest_id = BACKGROUND_ID if transparent == OPAQUE else FIRST_OBJECT_ID
        self._placed: dict[int, tuple[Any, np.ndarray]] = {}

    def amodal(self, view: View, seen: ViewObject) -> np.ndarray:
        """(H, W) bool: visible, or hit by the ray through the pixel's centre behind another object."""
        ids = view.instance_id
        assert ids is not None
        mask = ids == seen.instance_id
        x0, y0, x1, y1 = self._reach(view, seen, 0)
        window = ids[y0:y1, x0:x1]
        rows, columns = np.nonzero((window >= self._lowest_id) & (window != seen.instance_id))
        pixels = np.stack([columns + x0, rows + y0], axis=1)
        hidden = pixels[self._hits(view, seen, pixels)]
        mask[hidden[:, 1], hidden[:, 0]] = True
        return mask

    def outside(self, view: View, seen: ViewObject) -> np.ndarray:
        """(N, 2) int pixels (x, y) that the object would cover beyond the image, on a canvas of 3 x 3 images."""
        x0, y0, x1, y1 = self._reach(view, seen, CANVAS)
        pixels = np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), axis=-1).reshape(-1, 2)
        pixels = pixels[((pixels < 0) | (pixels >= view.size_px)).any(axis=1)]
        return pixels[self._hits(view, seen, pixels)]

    def _reach(self, view: View, seen: ViewObject, frames: int) -> tuple[int, int, int, int]:
        """Box of pixels around the projection, within so many frames beyond the image; empty if behind the camera."""
        points = (self._mesh(seen)[1] - view.T_world_cam[:3, 3]) @ view.T_world_cam[:3, :3]
        size = np.array(view.size_px)
        low, high = -frames * size, (1 + frames) * size
        front = points[:, 2] > NEAR_M
        if not front.any():
            return 0, 0, 0, 0
        if front.all():
            xy = points[:, :2] / points[:, 2:] * view.K_px[0, 0] + view.K_px[:2, 2]
            low = np.maximum(low, np.floor(xy.min(axis=0)).astype(int))
            high = np.minimum(high, np.ceil(xy.max(axis=0)).astype(int))
        high = np.maximum(low, high)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def _hits(self, view: View, seen: ViewObject, pixels: np.ndarray) -> np.ndarray:
        from scenegen.layout.raycast import first_hits, pixel_rays
        from scenegen.layout.spec import CameraSpec

        fov_x_rad = 2.0 * math.atan(view.size_px[0] / (2.0 * view.K_px[0, 0]))
        camera = CameraSpec(tuple(map(tuple, view.T_world_cam.tolist())), fov_x_rad, view.size_px)
        return first_hits(self._mesh(seen)[0], *pixel_rays(camera, pixels + 0.5))[0] >= 0

    def _mesh(self, seen: ViewObject) -> tuple[Any, np.ndarray]:
        """(Embree scene, (V, 3) vertices in the world)."""
        from scenegen.layout.raycast import mesh_scene

        if seen.instance_id not in self._placed:
            mesh, T = self._shapes.of(seen.scene_object), seen.T_world_obj
            vertices = mesh.vertices.astype(np.float64) @ T[:3, :3].T + T[:3, 3]
            self._placed[seen.instance_id] = mesh_scene([type(mesh)(vertices, mesh.faces)]), vertices
        return self._placed[seen.instance_id]
