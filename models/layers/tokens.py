"""How tokens are laid out: one transformer block serves dense grids and sparse voxels through this interface.

Shapes: x is [B, L, C] (dense) or [N, C] (sparse); q, k, v likewise with [H, D] in place of C; context is [B, M, H, D].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from models.execution import AttentionKernel
from models.sparse.segments import AttentionPlan, contexts_given, dense_attention, pad_rows
from models.sparse.voxels import VoxelSet


class TokenLayout(Protocol):
    """What a transformer block needs to know about its tokens."""

    def spread(self, value_BC: Tensor) -> Tensor:
        """One value per batch item -> broadcastable to the tokens."""

    def self_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor: ...

    def cross_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """To each batch item's own context. Items behind those with a context get zeros."""


@dataclass(frozen=True)
class DenseTokens:
    """Every batch item has the same number of tokens: [B, L, C]."""

    def spread(self, value_BC: Tensor) -> Tensor:
        return value_BC.unsqueeze(1)

    def self_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return dense_attention(q, k, v)

    def cross_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        given = contexts_given(len(k), len(q))
        return pad_rows(dense_attention(q[:given], k, v), len(q))


@dataclass(frozen=True)
class SparseTokens:
    """The tokens are the rows of a voxel set: [N, C]; self-attention stays inside the segments of `within`.

    within, items: plans for attention inside windows (or batch items), and from batch items to their contexts.
    """

    voxels: VoxelSet
    within: AttentionPlan
    items: AttentionPlan

    @classmethod
    def full(cls, voxels: VoxelSet, kernel: AttentionKernel = "auto") -> SparseTokens:
        """Attention among all voxels of a batch item."""
        plan = voxels.items.plan(kernel, compute_dtype(voxels.device))
        return cls(voxels, plan, plan)

    @classmethod
    def windowed(cls, voxels: VoxelSet, window: int, shift: int, kernel: AttentionKernel = "auto") -> SparseTokens:
        """Attention among the voxels of a window (Swin); windows at the border are smaller, nothing wraps around."""
        dtype = compute_dtype(voxels.device)
        return cls(voxels, voxels.windows(window, shift).plan(kernel, dtype), voxels.items.plan(kernel, dtype))

    def tensors(self) -> tuple[Any, ...]:
        """All that the layout consists of and that a block may read, for `models.execution.compile_blocks`."""
        return self.voxels.batch_N, self.within.tensors(), self.items.tensors()

    def spread(self, value_BC: Tensor) -> Tensor:
        return self.voxels.spread(value_BC)

    def self_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.within.self_attention(q, k, v)

    def cross_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.items.cross_attention(q, k, v)


def compute_dtype(device: torch.device) -> torch.dtype:
    """What the linears of a block return on this device at this moment: autocast's dtype, or float32."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32
