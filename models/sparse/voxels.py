"""Sets of occupied voxels, what is derived from them once, and features that live on them.

Shapes: N voxels, M coarse voxels, B batch items, C channels, 4 = (batch, x, y, z).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor

from models.sparse.segments import Segments


class VoxelSet:
    """Occupied voxels of a batch of grids; immutable, so everything derived from the coordinates is kept.

    coords_N4: int32 (batch, x, y, z), rows of one batch item contiguous and in batch order, any order inside.
    batch_size: number of batch items, also counting empty ones at the end.
    batch_N: int64, batch item of every voxel.

    Keep one VoxelSet alive over the steps of a sampler: its neighbour maps, windows and coarser levels are
    computed on first use and then reused.
    """

    def __init__(self, coords_N4: Tensor, batch_size: int | None = None) -> None:
        if coords_N4.ndim != 2 or coords_N4.shape[1] != 4:
            raise ValueError(f"coords must be [N, 4] = (batch, x, y, z), got {tuple(coords_N4.shape)}")
        self.coords_N4 = coords_N4.int()
        self.batch_N = self.coords_N4[:, 0].long()
        counts = torch.bincount(self.batch_N, minlength=batch_size or 0).tolist()
        if batch_size is not None and len(counts) > batch_size:
            raise ValueError(f"coords name batch item {len(counts) - 1}, but batch_size is {batch_size}")
        if bool((self.batch_N.diff() < 0).any()):
            raise ValueError("rows of one batch item must be contiguous and in batch order; sort coords by column 0")
        self.batch_size = len(counts)
        self.lengths = tuple(counts)
        self._windows: dict[tuple[int, int], Segments] = {}
        self.backend_cache: dict[str, Any] = {}

    def __len__(self) -> int:
        return self.coords_N4.shape[0]

    @property
    def device(self) -> torch.device:
        return self.coords_N4.device

    @cached_property
    def items(self) -> Segments:
        """One segment per batch item."""
        return Segments(list(self.lengths), None, self.device)

    def windows(self, window: int, shift: int) -> Segments:
        """One segment per non-empty window of edge `window`, the grid being moved by `shift` voxels on each axis."""
        if (window, shift) not in self._windows:
            cell_N4 = self.coords_N4.clone()
            cell_N4[:, 1:] = (cell_N4[:, 1:] + shift) // window
            sorted_key, order = linear_keys(cell_N4).sort(stable=True)
            counts = torch.unique_consecutive(sorted_key, return_counts=True)[1]
            self._windows[window, shift] = Segments(counts.tolist(), order, self.device)
        return self._windows[window, shift]

    @cached_property
    def coarser(self) -> Coarsening:
        """The voxels of the grid of half the resolution that contain these, sorted by (batch, x, y, z)."""
        coarse_N4 = self.coords_N4.clone()
        coarse_N4[:, 1:] //= 2
        parent_key, parent_N, children_M = linear_keys(coarse_N4).unique(return_inverse=True, return_counts=True)
        coords_M4 = coarse_N4.new_empty(len(parent_key), 4)
        coords_M4[parent_N] = coarse_N4
        return Coarsening(VoxelSet(coords_M4, self.batch_size), parent_N, children_M)

    @cached_property
    def finer(self) -> VoxelSet:
        """All eight children 2 c + {0, 1}^3 of every voxel, parent by parent, z fastest."""
        corner = torch.arange(8, device=self.device)
        offset_84 = torch.stack([torch.zeros_like(corner), corner >> 2, corner >> 1 & 1, corner & 1], dim=1)
        base_N4 = self.coords_N4 * self.coords_N4.new_tensor([1, 2, 2, 2])
        return VoxelSet((base_N4[:, None] + offset_84.int()).flatten(0, 1), self.batch_size)

    def spread(self, x_BC: Tensor) -> Tensor:
        """A value per batch item -> a value per voxel; [1, C] (to broadcast) or [N, C]."""
        return x_BC if len(x_BC) == 1 else cast(Tensor, _Spread.apply(x_BC, self.batch_N))


class _Spread(torch.autograd.Function):
    """x_BC -> x_BC[batch_N], with the gradient as a product with a matrix of zeros and ones.

    The gradient of indexing is an atomic scatter, which on CUDA is slow and not deterministic. Copies by item instead
    would make the graph of a compiled block depend on the number of items and on their lengths.
    """

    @staticmethod
    def forward(ctx: Any, x_BC: Tensor, batch_N: Tensor) -> Tensor:
        ctx.save_for_backward(batch_N)
        ctx.items = len(x_BC)
        return x_BC.index_select(0, batch_N)

    @staticmethod
    def backward(ctx: Any, grad_NC: Tensor) -> tuple[Tensor, None]:
        (batch_N,) = ctx.saved_tensors
        of_item_BN = torch.arange(ctx.items, device=batch_N.device)[:, None] == batch_N
        with torch.autocast(grad_NC.device.type, enabled=False):
            return of_item_BN.to(grad_NC.dtype) @ grad_NC, None


@dataclass(frozen=True)
class Coarsening:
    """The next coarser voxel set, the coarse row of each fine voxel, and the children of each coarse voxel."""

    voxels: VoxelSet
    parent_N: Tensor
    children_M: Tensor


@dataclass(frozen=True)
class SparseTensor:
    """Features [N, C] on a voxel set, row by row."""

    feats: Tensor
    voxels: VoxelSet = field(repr=False)

    def replace(self, feats: Tensor) -> SparseTensor:
        return SparseTensor(feats, self.voxels)

    @property
    def coords(self) -> Tensor:
        return self.voxels.coords_N4

    @classmethod
    def from_coords(cls, feats: Tensor, coords_N4: Tensor, batch_size: int | None = None) -> SparseTensor:
        if len(feats) != len(coords_N4):
            raise ValueError(f"{len(feats)} feature rows for {len(coords_N4)} voxels; they must be the same rows")
        return cls(feats, VoxelSet(coords_N4, batch_size))


def linear_keys(coords_N4: Tensor, extent_3: Tensor | None = None, margin: int = 0) -> Tensor:
    """[N] int64 keys that order rows by (batch, x, y, z); `margin` leaves free cells around the grid."""
    coords = coords_N4.long()
    if extent_3 is None:
        extent_3 = grid_extent(coords_N4)
    size_x, size_y, size_z = (extent_3 + 2 * margin).unbind()
    x, y, z = (coords[:, 1:] + margin).unbind(1)
    return ((coords[:, 0] * size_x + x) * size_y + y) * size_z + z


def grid_extent(coords_N4: Tensor) -> Tensor:
    """[3] int64: one more than the largest coordinate of each axis."""
    if len(coords_N4) == 0:
        return torch.ones(3, dtype=torch.long, device=coords_N4.device)
    return coords_N4[:, 1:].long().amax(0) + 1
