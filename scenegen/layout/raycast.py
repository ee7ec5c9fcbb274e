"""Rays against triangle meshes, with Embree."""

from collections.abc import Iterable

import numpy as np
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh

from scenegen.assets.library import CanonicalMesh


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


def even_directions(count: int) -> np.ndarray:
    """(count, 3) unit vectors spread evenly over the sphere (Fibonacci lattice)."""
    z = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    azimuth = np.arange(count) * (np.pi * (3.0 - np.sqrt(5.0)))
    level = np.sqrt(1.0 - z**2)
    return np.stack([level * np.cos(azimuth), level * np.sin(azimuth), z], axis=1)
