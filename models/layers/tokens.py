"""How tokens are laid out: one transformer block serves dense grids and sparse voxels through this interface.

Shapes: x is [B, L, C] (dense) or [N, C] (sparse); q, k, v likewise with [H, D] in place of C; context is [B, M, H, D].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from models.execution import AttentionKernel
from models.sparse.segments import Segments, dense_attention, segment_attention, segment_cross_attention
from models.sparse.voxels import VoxelSet


class TokenLayout(Protocol):
    """What a transformer block needs to know about its tokens."""

    def spread(self, value_BC: Tensor) -> Tensor:
        """One value per batch item -> broadcastable to the tokens."""

    def self_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor: ...

    def cross_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class DenseTokens:
    """Every batch item has the same number of tokens: [B, L, C]."""

    def spread(self, value_BC: Tensor) -> Tensor:
        return value_BC.unsqueeze(1)

    def self_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return dense_attention(q, k, v)

    def cross_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return dense_attention(q, k, v)


@dataclass(frozen=True)
class SparseTokens:
    """The tokens are the rows of a voxel set: [N, C]; self-attention stays inside each of `segments`."""

    voxels: VoxelSet
    segments: Segments
    kernel: AttentionKernel = "auto"

    @classmethod
    def full(cls, voxels: VoxelSet, kernel: AttentionKernel = "auto") -> SparseTokens:
        """Attention among all voxels of a batch item."""
        return cls(voxels, voxels.items, kernel)

    @classmethod
    def windowed(cls, voxels: VoxelSet, window: int, shift: int, kernel: AttentionKernel = "auto") -> SparseTokens:
        """Attention among the voxels of a window (Swin); windows at the border are smaller, nothing wraps around."""
        return cls(voxels, voxels.windows(window, shift), kernel)

    def spread(self, value_BC: Tensor) -> Tensor:
        return self.voxels.spread(value_BC)

    def self_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return segment_attention(q, k, v, self.segments, self.kernel)

    def cross_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return segment_cross_attention(q, k, v, self.voxels.items, self.kernel)
