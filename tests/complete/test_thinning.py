"""Of thick walls the middle stays, closed; of thin ones all."""

from __future__ import annotations

import numpy as np
import torch
import trimesh
from scipy.ndimage import label

from pipelines.complete.results import ColouredMesh
from pipelines.complete.steps.thinning import ridge
from pipelines.complete.surface.smooth import smoothed

EDGE, RADIUS = 64, 20.0


def ball(thickness: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of a shell around the middle of the grid, and distances from it in voxels."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(EDGE).float() - EDGE / 2] * 3, indexing="ij"))
    distance = (grid.norm(dim=0) - RADIUS).abs()
    return 12 * (thickness / 2 - distance), distance


def test_of_a_shell_three_voxels_thick_the_middle_stays_and_has_no_hole() -> None:
    logits, distance = ball(thickness=3.4)
    voxels = (logits > 0).nonzero()
    kept = ridge(logits, voxels)
    assert len(kept) < 0.6 * len(voxels)
    assert distance[tuple(kept.T)].quantile(0.9) < 1.2
    assert distance[tuple(voxels.T)].quantile(0.9) > 1.5
    wall = np.zeros((EDGE,) * 3, bool)
    wall[tuple(kept.T.numpy())] = True
    _, rooms = label(~wall)
    assert rooms == 2, "inside and outside, for neighbours by faces"


def test_a_shell_one_voxel_thick_stays_whole() -> None:
    logits, _ = ball(thickness=1.0)
    voxels = (logits > 0).nonzero()
    assert len(ridge(logits, voxels)) > 0.97 * len(voxels)


def test_a_single_voxel_stays() -> None:
    logits = torch.full((EDGE,) * 3, -9.0)
    logits[0, 63, 5] = 1.0
    assert ridge(logits, torch.tensor([[0, 63, 5]])).tolist() == [[0, 63, 5]]


def test_a_rough_ball_is_smoothed_and_neither_shrinks_nor_loses_faces_and_colours() -> None:
    even = trimesh.creation.icosphere(subdivisions=4, radius=RADIUS)
    noise = np.random.default_rng(0).normal(0, 0.3, even.vertices.shape)
    colours = np.arange(3 * len(even.vertices)).reshape(-1, 3).astype(np.uint8)
    rough = ColouredMesh((even.vertices + noise).astype(np.float32), np.asarray(even.faces), colours)
    after = smoothed(rough)
    assert np.array_equal(after.faces_F3, rough.faces_F3) and np.array_equal(after.colours_V3, colours)
    before_error, error = (np.abs(np.linalg.norm(m.vertices_V3, axis=1) - RADIUS).mean() for m in (rough, after))
    assert error < before_error / 2
    surface = trimesh.Trimesh(after.vertices_V3, after.faces_F3, process=False)
    assert abs(surface.volume / even.volume - 1) < 0.01
