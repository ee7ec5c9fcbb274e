"""Rays through pixels, and rays against triangle meshes, with Embree."""

from collections.abc import Iterable

import numpy as np
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh

from scenegen.assets.library import CanonicalMesh
from scenegen.layout.spec import CameraSpec


def mesh_scene(meshes: Iterable[CanonicalMesh]) -> rtcore_scene.EmbreeScene:
    """An Embree scene; the meshes are numbered in their order."""
    scene = rtcore_scene.EmbreeScene()
    for mesh in meshes:
        TriangleMesh(scene, mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32))
    return scene


def first_hits(
    scene: rtcore_scene.EmbreeScene, origin: np.ndarray, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Number of the first mesh hit (N,) int, -1 for none, and the distance (N,) in units of the directions (N, 3)."""
    if not len(directions):
        return np.full(0, -1), np.zeros(0)
    origins = np.broadcast_to(origin, directions.shape).astype(np.float32)
    hits = scene.run(origins, directions.astype(np.float32), output=1)
    missed = hits["primID"] == -1
    return np.where(missed, -1, hits["geomID"].astype(np.int64)), hits["tfar"]


def pixel_rays(camera: CameraSpec, xy_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Origin (3,) and directions (N, 3) in the world of rays through image points (N, 2) in pixels.

    Directions have length 1 along the optical axis, so that a distance in their units is a planar depth.
    """
    K, T = camera.K_px, camera.matrix_world
    directions = np.ones((len(xy_px), 3))
    directions[:, 0] = (xy_px[:, 0] - K[0, 2]) / K[0, 0]
    directions[:, 1] = (xy_px[:, 1] - K[1, 2]) / K[1, 1]
    return T[:3, 3], directions @ T[:3, :3].T


def pixel_centres(size_px: tuple[int, int], step_px: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """(H * W, 2) centres of a grid of `size_px` cells of `step_px` pixels, row by row."""
    x = (np.arange(size_px[0]) + 0.5) * step_px[0]
    y = (np.arange(size_px[1]) + 0.5) * step_px[1]
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def even_directions(count: int) -> np.ndarray:
    """(count, 3) unit vectors spread evenly over the sphere (Fibonacci lattice)."""
    z = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    azimuth = np.arange(count) * (np.pi * (3.0 - np.sqrt(5.0)))
    level = np.sqrt(1.0 - z**2)
    return np.stack([level * np.cos(azimuth), level * np.sin(azimuth), z], axis=1)
