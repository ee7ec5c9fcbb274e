"""Voxels in front of what is seen are taken away, and no others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipelines.complete.steps.carving import SeenSurface, without_floaters
from pipelines.complete.view import Camera, SceneView, level_camera
from pipelines.frames import Cube
from pipelines.voxelise import VoxelGrid

EDGE = 64


def surface(depth_HW: np.ndarray, T_world_cam: np.ndarray | None = None) -> SeenSurface:
    camera = Camera.from_fov(np.deg2rad(90), (EDGE, EDGE))
    if T_world_cam is not None:
        camera = Camera(camera.K_px, T_world_cam)
    return SeenSurface.of(SceneView(np.zeros((EDGE, EDGE, 3), np.uint8), depth_HW.astype(np.float32), camera))


def column(x: int = 32, y: int = 32) -> torch.Tensor:
    """Voxels along +y of the world, which the level camera looks along."""
    return torch.stack([torch.full((64,), x), torch.arange(64), torch.full((64,), y)], dim=1).to(torch.uint8)


def cube(distance: float, side: float = 2.0) -> Cube:
    return Cube(torch.tensor([0, distance, 0], dtype=torch.float64), torch.tensor(side, dtype=torch.float64))


def test_what_stands_in_front_of_the_seen_surface_goes_and_what_lies_behind_it_stays() -> None:
    kept = surface(np.full((EDGE, EDGE), 4.0)).carved(column(), cube(4.0))
    depths = 4 + (kept[:, 1].double() + 0.5) / 64 * 2 - 1
    assert depths.min() == pytest.approx(4 - 2 / 64, abs=2 / 64)
    assert len(kept) in (33, 34)
    assert depths.max() > 4.9


def test_what_is_hidden_by_something_nearer_or_out_of_sight_or_unknown_stays() -> None:
    nearer, unknown = np.full((EDGE, EDGE), 1.0), np.full((EDGE, EDGE), np.nan)
    for depth_HW in (nearer, unknown):
        assert len(surface(depth_HW).carved(column(), cube(4.0))) == 64
    turned_round = np.diag([-1.0, -1, 1, 1]) @ level_camera()
    assert len(surface(np.full((EDGE, EDGE), 9.0), turned_round).carved(column(), cube(4.0))) == 64


def test_beside_an_outline_the_nearer_surface_counts() -> None:
    depth_HW = np.full((EDGE, EDGE), 9.0)
    depth_HW[:, EDGE // 2 + 1 :] = 4.0  # the column is seen in the pixel beside it
    assert len(surface(depth_HW).carved(column(), cube(4.0))) > 30
    depth_HW[:, : EDGE // 2 + 3] = 9.0
    off = surface(depth_HW).carved(torch.cat([column(), column(x=63)]), cube(4.0))
    assert 32 not in off[:, 0].tolist()


def test_where_nothing_would_be_left_all_of_it_is_kept() -> None:
    assert len(surface(np.full((EDGE, EDGE), 99.0)).carved(column(), cube(4.0))) == 64


def block(low: tuple[int, int, int], edge: int) -> torch.Tensor:
    return (torch.cartesian_prod(*[torch.arange(edge)] * 3) + torch.tensor(low)).to(torch.uint8)


def test_floaters_go_but_for_those_that_are_clearly_seen_and_components_of_some_size() -> None:
    body, part, floater, seen, doubtful = (
        block((8, 8, 8), 10),
        block((30, 30, 30), 4),  # 64 of 1000 voxels
        block((50, 8, 8), 3),
        block((8, 50, 8), 2),
        block((8, 8, 50), 2),
    )
    touching = body[-1:] + 1  # by a corner
    shown = VoxelGrid(torch.tensor([[8, 50, 8], [8, 8, 50], [60, 60, 60]]), torch.tensor([1.0, 0.5, 1.0]), 64)
    kept = without_floaters(torch.cat([body, touching, part, floater, seen, doubtful]), shown)
    assert torch.equal(kept, torch.cat([body, touching, part, seen]))
