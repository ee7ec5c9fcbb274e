"""Overlap of occupancy grids at several scales."""

from __future__ import annotations

import torch

from pipelines.train.losses.occupancy import dice_at_scales_B, dice_B

CERTAIN = 20.0


def wall(*at: int) -> torch.Tensor:
    """[1, 1, 32, 32, 32]: walls across the grid at these places."""
    grid = torch.zeros(1, 1, 32, 32, 32)
    grid[:, :, list(at)] = 1
    return grid


def logits(grid: torch.Tensor) -> torch.Tensor:
    return CERTAIN * (2 * grid - 1)


def test_the_very_voxels_cost_nothing_and_a_wall_beside_costs_less_than_a_wall_far_off() -> None:
    costs = [dice_at_scales_B(logits(wall(at)), wall(9)).item() for at in (9, 8, 10, 25)]
    assert costs[0] < 1e-4
    assert costs[0] < costs[1] < costs[2] < costs[3]  # 8 and 9 share a cell of 2, 9 and 10 one of 4
    assert all(dice_B(logits(wall(at)), wall(9)).item() > 0.99 for at in (8, 10, 25))


def test_a_wall_whose_place_is_known_to_some_voxels_is_wanted() -> None:
    """The truth is at one of four places; on the grid alone a guess gains nothing over leaving it out."""
    truths = torch.cat([wall(2, at) for at in (12, 13, 14, 15)])  # the wall at 2 is certain
    left_out, guess = (logits(wall(*at)).expand(4, -1, -1, -1, -1) for at in ((2,), (2, 13)))
    assert dice_B(guess, truths).mean() > 0.95 * dice_B(left_out, truths).mean()
    assert dice_at_scales_B(guess, truths).mean() < 0.75 * dice_at_scales_B(left_out, truths).mean()
