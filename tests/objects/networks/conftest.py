"""An asset whose colour says where it is: a view's colours are canonical coordinates, drawn by ray casts."""

import numpy as np
import pytest
import torch
import trimesh
from torch.nn import functional

from scenegen.contract.objects import ObjectGeometry, ObjectView
from scenegen.contract.voxels import surface_voxels
from scenegen.layout.clean_cameras import clean_cameras


class MeanColours:
    """A feature extractor that can be checked by eye: the mean colour of each cell of 2 px."""

    name, channels = "mean_colours", 3

    def __init__(self, device: str = "cpu") -> None:
        self._device = device

    def __call__(self, rgba_KHW4: np.ndarray) -> torch.Tensor:
        colours = torch.from_numpy(rgba_KHW4[..., :3].copy()).to(self._device).movedim(-1, 1).float() / 255
        return functional.avg_pool2d(colours, 2)


def geometry_of(shape: trimesh.Trimesh, uid: str = "asset") -> ObjectGeometry:
    vertices = (shape.vertices - shape.bounds.mean(axis=0)) / shape.extents.max()
    vertices, faces = vertices.astype(np.float32), shape.faces.astype(np.int32)
    return ObjectGeometry(uid, "", "CC0-1.0", "train", vertices, faces, surface_voxels(vertices, faces))


def views_of(geometry: ObjectGeometry, count: int, size_px: int = 192) -> list[ObjectView]:
    """Feature views whose colour is the canonical place, 0.5 in the middle, black on nothing."""
    mesh = trimesh.Trimesh(geometry.vertices, geometry.faces, process=False)
    caster = trimesh.ray.ray_pyembree.RayMeshIntersector(mesh)
    x, y = np.meshgrid(np.arange(size_px) + 0.5, np.arange(size_px) + 0.5)
    pixels = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
    views = []
    for index, camera in enumerate(clean_cameras("feature", count, size_px, 0, geometry.asset_uid)):
        T = camera.matrix_world
        directions = pixels @ np.linalg.inv(camera.K_px).T @ T[:3, :3].T
        origins = np.broadcast_to(T[:3, 3], directions.shape)
        places, ray, _ = caster.intersects_location(origins, directions, multiple_hits=False)
        rgba = np.zeros((size_px**2, 4), np.uint8)
        rgba[ray] = np.concatenate([np.rint(255 * (places + 0.5)), np.full((len(ray), 1), 255)], axis=1)
        depth = np.full(size_px**2, np.nan, np.float32)
        depth[ray] = (places - T[:3, 3]) @ T[:3, 2]
        images = rgba.reshape(size_px, size_px, 4), depth.reshape(size_px, size_px)
        views.append(ObjectView(geometry.asset_uid, "feature", index, camera.size_px, camera.K_px, T, *images))
    return views


@pytest.fixture(scope="session")
def torus() -> ObjectGeometry:
    return geometry_of(trimesh.creation.torus(0.35, 0.15, major_sections=48, minor_sections=24), "torus")


@pytest.fixture(scope="session")
def torus_views(torus) -> list[ObjectView]:
    return views_of(torus, 24)
