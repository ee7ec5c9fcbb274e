"""Measures and pictures of voxels, on shapes whose answers are known."""

import numpy as np
import torch

from pipelines.train.stages.pictures import voxel_picture, voxel_table
from pipelines.train.stages.structure_common import distance_to, voxel_scores
from pipelines.voxelise import voxel_centres


def slab(low: int, high: int) -> torch.Tensor:
    """[1, 1, 64, 64, 64]: the layers low ... high - 1 along z."""
    grid = torch.zeros(1, 1, 64, 64, 64)
    grid[..., low:high] = 1
    return grid


def test_a_prediction_equal_to_its_target_is_perfect() -> None:
    (scores,) = voxel_scores(slab(10, 12), slab(10, 12))
    assert (scores.iou, scores.chamfer, scores.f_score) == (1.0, 0.0, 1.0)


def test_scores_of_a_shifted_slab_follow_from_the_shift() -> None:
    (scores,) = voxel_scores(slab(10, 14), slab(12, 16))
    assert abs(scores.iou - 2 / 6) < 1e-6
    assert abs(scores.chamfer - (0 + 0 + 1 + 2) / 4 / 64) < 1e-6
    assert scores.f_score == 1.0
    (far,) = voxel_scores(slab(10, 14), slab(30, 34))
    assert far.f_score == 0.0


def test_a_prediction_without_voxels_is_the_worst_and_not_an_error() -> None:
    (scores,) = voxel_scores(torch.zeros(1, 1, 64, 64, 64), slab(0, 1))
    assert (scores.iou, scores.chamfer, scores.f_score) == (0.0, 1.0, 0.0)


def test_the_distance_is_that_to_the_nearest_occupied_voxel() -> None:
    grid = torch.rand(16, 16, 16, generator=torch.Generator().manual_seed(0)) > 0.99
    assert 10 < grid.sum() < 100
    everywhere = voxel_centres(torch.ones_like(grid).nonzero(), 16)
    expected = torch.cdist(everywhere, voxel_centres(grid.nonzero(), 16)).amin(1).view(16, 16, 16)
    torch.testing.assert_close(distance_to(grid), expected, atol=1e-5, rtol=1e-5)


def test_pictures_have_up_above_and_near_before_far() -> None:
    high, low = np.zeros((2, 64, 64, 64), bool)
    high[28:36, 28:36, 50:58] = low[28:36, 28:36, 6:14] = True
    rows_high, rows_low = (np.nonzero((voxel_picture(grid) < 255).any(2))[0] for grid in (high, low))
    assert rows_high.max() < rows_low.min()
    assert (voxel_picture(np.zeros((64, 64, 64), bool)) == 255).all()


def test_a_table_has_a_row_for_each_object_and_a_column_for_each_grid() -> None:
    one = voxel_table({"target": slab(0, 2)})
    two = voxel_table({"target": torch.cat([slab(0, 2)] * 3), "again": torch.cat([slab(0, 2)] * 3)})
    assert two.width > 1.9 * one.width
    assert two.height > 2.5 * one.height


def test_a_sheet_of_one_voxel_is_lit_like_the_top_of_a_block() -> None:
    sheet, block = (np.zeros((64, 64, 64), bool) for _ in range(2))
    sheet[16:48, 16:48, 32], block[16:48, 16:48, 16:33] = True, True
    assert (voxel_picture(sheet)[80, 80] == voxel_picture(block)[80, 80]).all()
