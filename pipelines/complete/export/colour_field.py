"""Colour fields: the colour of an object at any point near its surface, from its mesh or from its Gaussians.

Shapes: P points, V vertices, G Gaussians, k neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.spatial import cKDTree

from models.gaussian_decoder import Gaussians, rotation_matrix
from pipelines.complete.results import ColouredMesh, InstanceCompletion
from pipelines.errors import UsageError

ColourField = Callable[[np.ndarray], np.ndarray]
"""(P, 3) points in the object's cube -> (P, 3) uint8 sRGB."""

VERTICES, GAUSSIANS = 3, 16  # neighbours that are mixed
CHUNK = 65536  # points at a time


def colour_field(one: InstanceCompletion, source: str) -> ColourField:
    """source: "mesh" or "gaussians". Raises UsageError if that was not decoded."""
    if source == "mesh":
        if one.mesh is None or one.mesh.colours_V3 is None:
            raise UsageError("this mesh decoder gives no colours; take those of the Gaussians: --colours gaussians")
        return _of_mesh(one.mesh, one.mesh.colours_V3)
    if one.gaussians is None:
        raise UsageError("no Gaussians were decoded; complete with Settings(gaussians=True)")
    return _of_gaussians(one.gaussians)


def _of_mesh(mesh: ColouredMesh, colours_V3: np.ndarray) -> ColourField:
    """The nearest vertices, weighted by the inverse of their squared distance."""
    tree = cKDTree(mesh.vertices_V3)
    count = min(VERTICES, len(mesh.vertices_V3))

    def at(points_P3: np.ndarray) -> np.ndarray:
        distance_Pk, vertex_Pk = (np.reshape(x, (len(points_P3), count)) for x in tree.query(points_P3, k=count))
        return _mixed(1 / (distance_Pk**2 + 1e-12), colours_V3[vertex_Pk])

    return at


def _of_gaussians(gaussians: Gaussians) -> ColourField:
    """The nearest Gaussians, weighted by their opacity and their density at the point."""
    centre_G3 = gaussians.xyz_G3.numpy()
    colour_G3 = gaussians.colour_G3.clamp(0, 1).numpy() * 255
    opacity_G = gaussians.opacity_G1[:, 0].numpy()
    # Rows of R diag(1 / scale): |whiten^T (p - centre)| is the Mahalanobis distance.
    whiten_G33 = (rotation_matrix(gaussians.rotation_G4) / gaussians.scaling_G3[:, None, :]).numpy()
    tree = cKDTree(centre_G3)
    count = min(GAUSSIANS, len(centre_G3))

    def some(points_P3: np.ndarray) -> np.ndarray:
        _, index_Pk = tree.query(points_P3, k=count)
        index_Pk = np.reshape(index_Pk, (len(points_P3), count))
        offset_Pk3 = points_P3[:, None] - centre_G3[index_Pk]
        distance_Pk = np.square(np.einsum("pki,pkij->pkj", offset_Pk3, whiten_G33[index_Pk])).sum(-1)
        nearest_P1 = distance_Pk.min(1, keepdims=True)  # subtracted, so that the weights of far points do not underflow
        weight_Pk = opacity_G[index_Pk] * np.exp(-0.5 * (distance_Pk - nearest_P1))
        return _mixed(weight_Pk + 1e-12, colour_G3[index_Pk])

    return lambda points_P3: np.concatenate([some(part) for part in _chunks(points_P3)])


def _mixed(weight_Pk: np.ndarray, colour_Pk3: np.ndarray) -> np.ndarray:
    mean_P3 = (weight_Pk[..., None] * colour_Pk3).sum(1) / weight_Pk.sum(1, keepdims=True)
    return np.rint(mean_P3).clip(0, 255).astype(np.uint8)


def _chunks(points_P3: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, max(len(points_P3), 1), CHUNK):
        yield points_P3[start : start + CHUNK]
