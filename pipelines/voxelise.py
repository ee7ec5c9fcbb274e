"""Points -> occupancy and confidence grids in the unit cube [-0.5, 0.5]^3.

Shapes: P points, V occupied voxels, R grid edge (64), f fold (4), r = R / f.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.layers.grids import patchify

RESOLUTION = 64
FOLD = 4


@dataclass(frozen=True)
class VoxelGrid:
    """Occupied voxels, sorted by (x, y, z): index_V3 int64, confidence_V in [0, 1] (the mean of their points')."""

    index_V3: Tensor
    confidence_V: Tensor
    resolution: int

    def occupancy(self) -> Tensor:
        """[R, R, R] float32 of 0 and 1."""
        return self._dense(torch.ones_like(self.confidence_V))

    def confidence(self) -> Tensor:
        """[R, R, R] float32, 0 where empty."""
        return self._dense(self.confidence_V)

    def folded_confidence(self, fold: int = FOLD) -> Tensor:
        """[f^3, r, r, r]: the confidence grid folded onto the latent grid, channel (i f + j) f + k."""
        return patchify(self.confidence()[None, None], fold)[0]

    def _dense(self, value_V: Tensor) -> Tensor:
        grid = value_V.new_zeros((self.resolution,) * 3)
        grid[self.index_V3.unbind(1)] = value_V
        return grid


def voxelise(
    points_P3: Tensor, weight_P: Tensor | None = None, resolution: int = RESOLUTION, clip: bool = False
) -> VoxelGrid:
    """The voxels that contain points: index = floor((p + 0.5) R).

    clip: move points outside the cube to its walls; otherwise they are left out.
    weight_P: confidence per point (1 interior, 0.5 edge of a mask); ones if not given.
    """
    weight_P = torch.ones(len(points_P3), device=points_P3.device) if weight_P is None else weight_P.float()
    grid_3P = points_P3.T.double().add(0.5).mul_(resolution)
    if clip:
        grid_3P.clamp_(0, resolution - 1)
    else:
        inside_P = ((grid_3P >= 0) & (grid_3P < resolution)).all(0)
        grid_3P, weight_P = grid_3P[:, inside_P], weight_P[inside_P]
    x_P, y_P, z_P = grid_3P.int()  # nothing is negative: this is floor
    code_P = x_P.mul_(resolution).add_(y_P).mul_(resolution).add_(z_P)
    count = torch.bincount(code_P, minlength=resolution**3)  # counting a small grid beats sorting many points
    total = weight_P.new_zeros(resolution**3).index_add(0, code_P, weight_P)
    code_V = count.nonzero()[:, 0]
    index_V3 = torch.stack([code_V // resolution**2, code_V // resolution % resolution, code_V % resolution], dim=1)
    return VoxelGrid(index_V3, total[code_V] / count[code_V], resolution)


def voxel_centres(index_V3: Tensor, resolution: int = RESOLUTION) -> Tensor:
    """[V, 3] float32 centres in the unit cube."""
    return (index_V3.float() + 0.5) / resolution - 0.5
