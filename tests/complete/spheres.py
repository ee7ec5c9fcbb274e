"""A wide picture of spheres whose depth and masks are known in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.complete.view import Camera

WIDTH, HEIGHT = 176, 112


@dataclass(frozen=True)
class Spheres:
    """centres_N3 in the world, radius; rgb_HW3, ids_HW (1 and up), depth_HW (NaN behind them), camera."""

    centres_N3: np.ndarray
    radius: float
    rgb_HW3: np.ndarray
    ids_HW: np.ndarray
    depth_HW: np.ndarray
    camera: Camera

    def surface_distance(self, instance_id: int, points_P3: np.ndarray) -> np.ndarray:
        """(P,) signed, outside positive."""
        return np.linalg.norm(points_P3 - self.centres_N3[instance_id - 1], axis=1) - self.radius


def spheres() -> Spheres:
    """Five of them before a level camera at the origin that looks along +y; the fifth is cut by the left border."""
    centres = np.array([[-0.5, 4.0, 0.5], [0.7, 4.2, 0.5], [-0.45, 4.4, -0.55], [0.85, 3.9, -0.5], [-1.75, 4.0, 0.0]])
    radius = 0.42
    camera = Camera.from_fov(np.radians(50), (WIDTH, HEIGHT))
    v, u = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    K = camera.K_px
    rays = np.stack([(u - K[0, 2]) / K[0, 0], np.ones_like(u), -(v - K[1, 2]) / K[1, 1]], axis=-1)  # world, depth 1
    depth = np.full((HEIGHT, WIDTH), np.nan, np.float32)
    ids = np.zeros((HEIGHT, WIDTH), np.int32)
    for number, centre in enumerate(centres, start=1):
        a, b, c = (rays**2).sum(-1), rays @ centre, centre @ centre - radius**2
        root = b * b - a * c
        near = (b - np.sqrt(np.maximum(root, 0))) / a
        hit = (root > 0) & ~(near >= depth)
        depth[hit], ids[hit] = near[hit], number
    palette = np.array([[40, 40, 40], [220, 60, 50], [60, 200, 80], [70, 90, 230], [230, 200, 60], [200, 80, 220]])
    return Spheres(centres, radius, palette[ids].astype(np.uint8), ids, depth, camera)
