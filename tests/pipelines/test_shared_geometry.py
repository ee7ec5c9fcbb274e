"""Cubes, voxels, cameras, masks and crops that training and completion share."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.compat import OFFICIAL
from pipelines.cameras import Projection, opengl_to_opencv, pixel_rays_opengl, project
from pipelines.depth_alignment import align_scale
from pipelines.frames import NoVisiblePoints, bounding_cube, coarse_cube, euler_rotation, fine_cube
from pipelines.images import instance_crop, scene_image
from pipelines.masks import confidence, dilate, edge_mask, ellipse_kernel, erode
from pipelines.visibility import VoxelViews, visibility_ratio, voxel_features
from pipelines.voxelise import voxel_centres, voxelise


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100.0))
def test_the_visible_part_fills_the_middle_half_of_the_coarse_cube(seed, scale) -> None:
    g = torch.Generator().manual_seed(seed)
    points = torch.randn(50, 3, generator=g, dtype=torch.double) * scale
    inside = coarse_cube(points, torch.ones(50)).from_outer(points)
    assert inside.abs().max() <= 0.25
    assert inside.abs().max() > 0.2499 - 1e-6 / scale


def test_points_survive_the_way_through_both_cubes_and_back() -> None:
    points = torch.randn(50, 3, dtype=torch.double)
    coarse = coarse_cube(points, torch.ones(50))
    grid = voxelise(coarse.from_outer(points))
    fine = fine_cube(grid.index_V3)
    there = fine.from_outer(coarse.from_outer(points))
    torch.testing.assert_close(coarse.to_outer(fine.to_outer(there)), points)


def test_points_on_the_edge_of_the_mask_do_not_move_the_coarse_cube() -> None:
    points = torch.rand(20, 3)
    flyer = torch.cat([points, torch.tensor([[50.0, 0.0, 0.0]])])
    trust = torch.cat([torch.ones(20), torch.tensor([0.5])])
    assert torch.equal(coarse_cube(flyer, trust).centre_3, coarse_cube(points, torch.ones(20)).centre_3)


def test_no_visible_points_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(NoVisiblePoints, match="larger mask"):
        coarse_cube(torch.rand(4, 3), torch.full((4,), 0.5))


def test_voxel_centres_fall_into_their_own_voxels() -> None:
    index = torch.randint(0, 64, (200, 3)).unique(dim=0)
    assert torch.equal(voxelise(voxel_centres(index)).index_V3, index)


def test_points_outside_are_left_out_or_moved_to_the_walls() -> None:
    points = torch.tensor([[0.0, 0.0, 0.0], [0.7, 0.0, 0.0], [0.0, 0.0, -0.5]])
    assert voxelise(points).index_V3.tolist() == [[32, 32, 0], [32, 32, 32]]
    assert voxelise(points, clip=True).index_V3.tolist() == [[32, 32, 0], [32, 32, 32], [63, 32, 32]]


def test_a_voxel_is_as_trustworthy_as_its_points_on_average() -> None:
    points = torch.tensor([[0.001, 0.001, 0.001], [0.002, 0.001, 0.001], [0.3, 0.3, 0.3]])
    grid = voxelise(points, torch.tensor([1.0, 0.5, 0.5]))
    assert grid.confidence_V.tolist() == [0.75, 0.5]
    folded = grid.folded_confidence()
    assert folded.shape == (64, 16, 16, 16)
    assert folded.sum() == 1.25
    assert folded[:, 8, 8, 8].sum() == 0.75
    assert grid.occupancy().sum() == 2


def test_rotations_are_rotations_about_fixed_axes() -> None:
    quarter = torch.tensor([torch.pi / 2, 0.0, 0.0])
    torch.testing.assert_close(euler_rotation(quarter) @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1.0, 0.0]))
    any_rotation = euler_rotation(torch.tensor([0.3, -1.2, 2.0]))
    torch.testing.assert_close(any_rotation @ any_rotation.T, torch.eye(3))


def test_a_pixel_seen_at_a_depth_projects_back_to_itself() -> None:
    width, height = 80, 60
    K = torch.tensor([[70.0, 0, 41.0], [0, 65.0, 28.0], [0, 0, 1]])
    T = torch.eye(4)
    T[:3, :3] = euler_rotation(torch.tensor([0.4, 0.2, -0.7]))
    T[:3, 3] = torch.tensor([1.0, -2.0, 0.5])
    u, v, depth = torch.tensor([3, 77, 40]), torch.tensor([5, 59, 30]), torch.tensor([1.0, 2.5, 4.0])
    origin, direction = pixel_rays_opengl(u, v, K, T)
    K_norm = K / torch.tensor([[width], [height], [1.0]])
    seen = project(origin + depth[:, None] * direction, opengl_to_opencv(T), K_norm)
    torch.testing.assert_close(seen.depth_P, depth)
    expected = torch.stack([(u + 0.5) / width, (v + 0.5) / height], dim=1) * 2 - 1
    torch.testing.assert_close(seen.uv_P2, expected)


def test_intrinsics_in_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="normalised"):
        project(torch.rand(2, 3), torch.eye(4), torch.tensor([[500.0, 0, 256], [0, 500.0, 256], [0, 0, 1]]))


def test_depth_is_aligned_by_scale_alone() -> None:
    truth = torch.rand(6, 7) + 1
    aligned, scale = align_scale(truth / 2.5, truth, torch.ones(6, 7))
    assert scale.item() == pytest.approx(2.5)
    torch.testing.assert_close(aligned, truth)
    with pytest.raises(ValueError, match="no valid depth"):
        align_scale(truth, truth, torch.zeros(6, 7))


def test_confidence_is_one_inside_half_on_the_outline_and_zero_outside() -> None:
    mask = torch.zeros(60, 60)
    mask[10:50, 10:50] = 1
    trust = confidence(mask)
    assert trust[30, 30] == 1
    assert trust[10, 30] == trust[9, 30] == 0.5
    assert trust[0, 0] == 0
    assert torch.equal(edge_mask(mask.flip(0)).flip(0), edge_mask(mask))


def test_dilation_and_erosion_are_duals_away_from_the_border() -> None:
    mask = torch.zeros(40, 40, dtype=torch.bool)
    mask[14:26, 12:30] = True
    kernel = ellipse_kernel(7)
    assert torch.equal(~dilate(mask, kernel)[5:-5, 5:-5], erode(~mask, kernel)[5:-5, 5:-5])


def test_crops_are_square_around_the_object_and_black_beyond_the_image() -> None:
    image = np.full((40, 60, 3), 200, np.uint8)
    mask = np.zeros((40, 60), np.uint8)
    mask[0:20, 30:60] = 1
    crop = instance_crop(image, mask, 28)
    assert crop.shape == (4, 28, 28)
    assert crop[:3, 0].max() < 0.1
    assert crop[0, 14, 10].item() == pytest.approx(200 / 255, abs=0.01)
    assert scene_image(image, mask, 28)[3].mean().item() == pytest.approx(mask.mean(), abs=0.05)
    with pytest.raises(ValueError, match="mask is empty"):
        instance_crop(image, mask * 0, 28)


def views_of_two_walls(compat_depth: float) -> VoxelViews:
    """Eight voxels on one ray pixel each, half of them behind the observed surface."""
    uv = torch.zeros(8, 2)
    depth = torch.tensor([1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    return VoxelViews([Projection(uv, depth)], [torch.full((5, 5), compat_depth)], tolerance=0.1)


def test_voxels_behind_the_observed_surface_are_not_visible() -> None:
    mask, feature_map = torch.ones(1, 5, 5), torch.randn(1, 4, 5, 5)
    views = views_of_two_walls(1.0)
    assert visibility_ratio(mask, views).item() == pytest.approx(0.5)
    assert visibility_ratio(mask, views, OFFICIAL).item() == pytest.approx(1.0)
    features = voxel_features(feature_map, views)
    assert features[:4].abs().sum() > 0
    assert features[4:].abs().sum() == 0
    assert voxel_features(feature_map, views, OFFICIAL)[4:].abs().sum() > 0


def test_unknown_depth_hides_nothing_and_missing_depth_is_an_error() -> None:
    mask = torch.ones(1, 5, 5)
    assert visibility_ratio(mask, views_of_two_walls(torch.nan)).item() == pytest.approx(1.0)
    blind = VoxelViews(views_of_two_walls(1.0).projections)
    with pytest.raises(ValueError, match="depth_maps"):
        visibility_ratio(mask, blind)


def test_bounding_cube_of_one_point_has_a_side() -> None:
    assert bounding_cube(torch.zeros(1, 3)).side > 0
