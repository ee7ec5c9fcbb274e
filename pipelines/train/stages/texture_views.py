"""Where the voxels of an object are in the image that its texture comes from.

Everything is computed in the grid frame, in which lengths are in edges of the object's cube, so that one tolerance
serves objects of all sizes.

Shapes: B samples, S image edge, n voxels of one sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.gaussian_decoder import Gaussians
from pipelines.cameras import Projection, project
from pipelines.rendering import Splats, View, render_splats
from pipelines.train.data.batches import TextureBatch
from pipelines.visibility import VoxelViews
from pipelines.voxelise import RESOLUTION, voxel_centres

VISIBLE_WITHIN = 1.5 / RESOLUTION  # so far behind the observed surface, in edges of the cube: 1.5 voxels


@dataclass(frozen=True)
class GridCamera:
    """A camera of the world in the grid frame of an object.

    T_grid_cam: [4, 4] rigid, camera to grid frame. edge: of the grid's cube in metres; depths in this frame are those
    in the world divided by it.
    """

    T_grid_cam: Tensor
    edge: Tensor


def grid_camera(T_world_grid: Tensor, T_world_cam: Tensor) -> GridCamera:
    """The camera in the grid frame, where it sees the same image: scaling the world does not change a pinhole image.

    T_world_grid: [4, 4] similarity. T_world_cam: [4, 4] rigid.
    """
    edge = torch.linalg.det(T_world_grid[:3, :3]).abs() ** (1 / 3)
    T_grid_cam = torch.linalg.inv(T_world_grid) @ T_world_cam
    T_grid_cam[:3, :3] *= edge
    return GridCamera(T_grid_cam, edge)


def cameras_of(batch: TextureBatch) -> list[GridCamera]:
    """The camera of each sample, in its grid frame."""
    return [grid_camera(*pair) for pair in zip(batch.T_world_grid_B44, batch.T_world_cam_B44, strict=True)]


def voxel_views(batch: TextureBatch) -> VoxelViews:
    """Projections of all voxels into the image, and the observed depth of each sample, in the grid frame."""
    cameras, depth_BSS = cameras_of(batch), batch.depth_BSS
    coords = batch.coords_N4[:, 1:].split(torch.bincount(batch.coords_N4[:, 0], minlength=len(batch)).tolist())
    exact = [  # in float64, which autocast leaves alone
        project(voxel_centres(coords_n3).double(), camera.T_grid_cam, K_norm)
        for coords_n3, camera, K_norm in zip(coords, cameras, batch.K_norm_B33, strict=True)
    ]
    projections = [Projection(seen.uv_P2.float(), seen.depth_P.float()) for seen in exact]
    depths = [(depth / camera.edge).float() for depth, camera in zip(depth_BSS, cameras, strict=True)]
    return VoxelViews(projections, depths, VISIBLE_WITHIN)


@torch.no_grad()
def psnr_in_view(gaussians: Sequence[Gaussians], batch: TextureBatch) -> list[float]:
    """PSNR in dB of Gaussians rendered from the scene's camera against the image, inside the mask of the object.

    One value for each sample whose mask is not empty.
    """
    scene_B4SS, values = batch.images.scene_B4SS, []
    size = scene_B4SS.shape[-1]
    for b, (camera, K_norm) in enumerate(zip(cameras_of(batch), batch.K_norm_B33, strict=True)):
        drawn_3SS = render_splats(Splats.of(gaussians[b]), View(camera.T_grid_cam, K_norm, (size, size))).colour_3HW
        seen_SS = scene_B4SS[b, 3] > 0.5
        if bool(seen_SS.any()):
            error = (drawn_3SS - scene_B4SS[b, :3])[:, seen_SS].square().mean().clamp(min=1e-10)
            values.append(float(-10 * error.log10()))
    return values
