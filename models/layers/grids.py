"""Rearrangements of dense voxel grids.

Shapes: B batch, C channels, X Y Z grid, p patch edge, L = (X/p)(Y/p)(Z/p) tokens with x slowest and z fastest.
"""

from __future__ import annotations

import torch
from torch import Tensor


def patchify(x_BCXYZ: Tensor, patch: int) -> Tensor:
    """[B, C p^3, X/p, Y/p, Z/p]; the channel order is (c, px, py, pz) with pz fastest."""
    B, C, X, Y, Z = x_BCXYZ.shape
    if X % patch or Y % patch or Z % patch:
        raise ValueError(f"a grid of {X}x{Y}x{Z} cannot be cut into patches of {patch}^3; choose a divisor")
    blocks = x_BCXYZ.reshape(B, C, X // patch, patch, Y // patch, patch, Z // patch, patch)
    return blocks.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(B, C * patch**3, X // patch, Y // patch, Z // patch)


def pixel_shuffle_3d(x_BCXYZ: Tensor, scale: int) -> Tensor:
    """Inverse of `patchify`: channel ((c s + i) s + j) s + k moves to offset (i, j, k) of the finer grid."""
    B, C, X, Y, Z = x_BCXYZ.shape
    blocks = x_BCXYZ.reshape(B, C // scale**3, scale, scale, scale, X, Y, Z)
    return blocks.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(B, C // scale**3, X * scale, Y * scale, Z * scale)


def grid_to_tokens(x_BCXYZ: Tensor, patch: int = 1) -> Tensor:
    """[B, L, C p^3]."""
    return patchify(x_BCXYZ, patch).flatten(2).transpose(1, 2)


def tokens_to_grid(x_BLC: Tensor, resolution: int, patch: int = 1) -> Tensor:
    """Inverse of `grid_to_tokens` for a cubic grid of edge `resolution`."""
    edge = resolution // patch
    return pixel_shuffle_3d(x_BLC.transpose(1, 2).unflatten(2, (edge, edge, edge)), patch)


def grid_positions(edge: int) -> Tensor:
    """[edge^3, 3] int64 positions in token order."""
    axis = torch.arange(edge)
    return torch.cartesian_prod(axis, axis, axis)
