"""Normalisations and linears that stay in float32 under autocast.

Shapes: ... any leading dimensions, C channels, H heads, D channels per head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm32(nn.LayerNorm):
    """LayerNorm over the last dimension, computed in float32 and returned in the input's dtype."""

    def __init__(self, channels: int, *, affine: bool, eps: float = 1e-6) -> None:
        super().__init__(channels, eps=eps, elementwise_affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        return layer_norm_32(x, self.eps, self.weight, self.bias)


def layer_norm_32(x: Tensor, eps: float = 1e-5, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """LayerNorm over the last dimension in float32. Without parameters: the norm before every output head."""
    weight = None if weight is None else weight.float()
    bias = None if bias is None else bias.float()
    return F.layer_norm(x.float(), x.shape[-1:], weight, bias, eps).to(x.dtype)


class ChannelLayerNorm32(LayerNorm32):
    """LayerNorm over dimension 1 of a channels-first volume [B, C, X, Y, Z]."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class GroupNorm32(nn.GroupNorm):
    """GroupNorm computed in float32 and returned in the input's dtype."""

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x.float(), self.num_groups, self.weight.float(), self.bias.float(), self.eps).to(x.dtype)


class MultiHeadRMSNorm(nn.Module):
    """Per-head unit vectors times a learned gain: x / |x| * sqrt(D) * gamma, on [..., H, D], in float32."""

    def __init__(self, heads: int, head_channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(heads, head_channels))

    def forward(self, x: Tensor) -> Tensor:
        unit = F.normalize(x.float(), dim=-1)
        return (unit * (self.gamma.float() * self.gamma.shape[-1] ** 0.5)).to(x.dtype)


class Linear32(nn.Linear):
    """A linear layer that ignores autocast: input and output heads and embedders stay in float32."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            bias = None if self.bias is None else self.bias.float()
            return F.linear(x.float(), self.weight.float(), bias)
