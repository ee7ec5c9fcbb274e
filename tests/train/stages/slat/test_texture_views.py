"""Where voxels lie in the image, and whether the parts of a sample agree."""

from __future__ import annotations

import pytest
import torch

from models.compat import OFFICIAL
from pipelines.rendering import View, render_mesh
from pipelines.train.stages.texture_views import grid_camera, voxel_views
from pipelines.visibility import visibility_ratio


def test_a_grid_camera_sees_what_the_scenes_camera_sees() -> None:
    """Points of the grid, taken to the world and into the scene's camera, or straight into the grid camera."""
    g = torch.Generator().manual_seed(0)
    rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=g, dtype=torch.float64))
    rotation *= torch.linalg.det(rotation)
    T_world_grid, T_world_cam = (torch.eye(4, dtype=torch.float64) for _ in range(2))
    T_world_grid[:3, :3], T_world_grid[:3, 3] = 0.37 * rotation, torch.tensor([0.3, 0.1, 3.0])
    T_world_cam[:3, 3] = torch.tensor([0.2, -0.1, 0.4])
    points = torch.rand(20, 3, generator=g, dtype=torch.float64) - 0.5
    camera, K = grid_camera(T_world_grid, T_world_cam), torch.eye(3, dtype=torch.float64)
    in_world = points @ T_world_grid[:3, :3].T + T_world_grid[:3, 3]
    wanted = View(T_world_cam, K, (1, 1)).to_camera(in_world)
    found = View(camera.T_grid_cam, K, (1, 1)).to_camera(points)
    torch.testing.assert_close(found * camera.edge, wanted)
    assert float(camera.edge) == pytest.approx(0.37)
    assert float(torch.linalg.det(camera.T_grid_cam[:3, :3])) == pytest.approx(1.0)


def test_voxels_project_onto_their_object_and_the_far_side_is_not_visible(stage) -> None:
    source = stage("texturer").source("train")
    batch = source.collate([source.load(index, epoch=0) for index in range(3)])
    mask_BSS, views = batch.images.scene_B4SS[:, 3], voxel_views(batch)
    for mask_SS, projection in zip(mask_BSS, views.projections, strict=True):
        uv = projection.uv_P2[projection.uv_P2.abs().amax(1) < 1]
        column, row = ((uv + 1) / 2 * len(mask_SS)).long().unbind(1)
        hit = torch.zeros_like(mask_SS)
        hit[row, column] = 1
        assert (hit * mask_SS).sum() >= 0.9 * mask_SS.sum(), "all of the visible object has voxels behind it"
    share_B = visibility_ratio(mask_BSS, views)
    assert ((share_B > 0.02) & (share_B < 0.75)).all(), "one side of a solid, at most"
    assert (share_B < visibility_ratio(mask_BSS, views, OFFICIAL)).all(), "the far side projects into the mask too"


def test_the_mesh_and_the_pictures_of_a_sample_agree(stage) -> None:
    """The true mesh, drawn from the cameras of the pictures, covers what is opaque in them."""
    source = stage("mesh_decoder").source("train")
    for index in range(3):
        sample = source.load(index, epoch=1)
        for rgba, K_norm, T_grid_cam in zip(sample.rgba_K4HW, sample.K_norm_K33, sample.T_grid_cam_K44, strict=True):
            view = View(T_grid_cam, K_norm, (rgba.shape[2], rgba.shape[1]))
            mask = render_mesh(sample.vertices_P3, sample.faces_F3.long(), view).covered_HW
            opaque = rgba[3] > 127
            assert (mask & opaque).sum() / (mask | opaque).sum() > 0.9


def test_projections_do_not_depend_on_autocast(stage) -> None:
    source = stage("texturer").source("train")
    batch = source.collate([source.load(0, epoch=0)])
    with torch.autocast("cpu", torch.bfloat16):
        half = voxel_views(batch).projections[0]
    whole = voxel_views(batch).projections[0]
    assert torch.equal(half.uv_P2, whole.uv_P2) and torch.equal(half.depth_P, whole.depth_P)
