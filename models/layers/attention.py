"""Multi-head attention modules and the feed-forward network, with the released key names.

Shapes: x [..., C] tokens in the layout at hand, context [B, M, Cctx], H heads of D channels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.norms import MultiHeadRMSNorm
from models.layers.tokens import TokenLayout


def split_heads(x: Tensor, parts: int, heads: int) -> tuple[Tensor, ...]:
    """[..., parts H D] -> `parts` tensors [..., H, D]."""
    return x.unflatten(-1, (parts, heads, -1)).unbind(-3)


class KeyValues(NamedTuple):
    """Keys and values of a cross-attention's context; computed once where the context stays the same.

    k_BMHD: normed if the attention norms them. v_BMHD: without the linear's bias. bias_HD: that bias. Attention is an
    average, so the bias passes through it unchanged and is added behind it. A context of zeros then contributes
    nothing, so the unconditional items of a guided batch need none: they lie behind the B with a context.
    """

    k_BMHD: Tensor
    v_BMHD: Tensor
    bias_HD: Tensor


class _Attention(nn.Module):
    """What self- and cross-attention have in common: heads, query/key norms, output projection."""

    def __init__(self, channels: int, heads: int, qk_rms_norm: bool) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels cannot be split into {heads} heads; choose a divisor")
        self.heads = heads
        self.qk_rms_norm = qk_rms_norm
        if qk_rms_norm:
            self.q_rms_norm = MultiHeadRMSNorm(heads, channels // heads)
            self.k_rms_norm = MultiHeadRMSNorm(heads, channels // heads)
        self.to_out = nn.Linear(channels, channels)


class SelfAttention(_Attention):
    """Attention among tokens; keys `to_qkv`, `to_out`, and `{q,k}_rms_norm.gamma` if normed."""

    def __init__(self, channels: int, heads: int, qk_rms_norm: bool = False) -> None:
        super().__init__(channels, heads, qk_rms_norm)
        self.to_qkv = nn.Linear(channels, 3 * channels)

    def forward(self, x: Tensor, tokens: TokenLayout) -> Tensor:
        q, k, v = split_heads(self.to_qkv(x), 3, self.heads)
        if self.qk_rms_norm:
            q, k = self.q_rms_norm(q), self.k_rms_norm(k)
        return self.to_out(tokens.self_attention(q, k, v).flatten(-2))


class CrossAttention(_Attention):
    """Attention from tokens to a dense context [B, M, Cctx]; keys `to_q`, `to_kv`, `to_out`."""

    def __init__(self, channels: int, context_channels: int, heads: int, qk_rms_norm: bool = False) -> None:
        super().__init__(channels, heads, qk_rms_norm)
        self.to_q = nn.Linear(channels, channels)
        self.to_kv = nn.Linear(context_channels, 2 * channels)

    def forward(self, x: Tensor, context: Tensor | KeyValues, tokens: TokenLayout) -> Tensor:
        """`context`: tokens [B, M, Cctx], or what `keys_values` made of them."""
        k, v, bias = context if isinstance(context, KeyValues) else self.keys_values(context)
        (q,) = split_heads(self.to_q(x), 1, self.heads)
        if self.qk_rms_norm:
            q = self.q_rms_norm(q)
        attended = tokens.cross_attention(q, k, v)
        return self.to_out((attended + bias.to(attended.dtype)).flatten(-2))

    def keys_values(self, context_BMC: Tensor) -> KeyValues:
        k_bias, v_bias = self.to_kv.bias.chunk(2)
        both = F.linear(context_BMC, self.to_kv.weight, torch.cat([k_bias, torch.zeros_like(v_bias)]))
        k, v = split_heads(both, 2, self.heads)
        if self.qk_rms_norm:
            k = self.k_rms_norm(k)
        return KeyValues(k, v, v_bias.unflatten(0, (self.heads, -1)))


class FeedForward(nn.Module):
    """Linear, GELU (tanh approximation), Linear; keys `mlp.0`, `mlp.2`."""

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        hidden = int(channels * ratio)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.GELU("tanh"), nn.Linear(hidden, channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.mlp(x)
