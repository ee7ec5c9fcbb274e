"""Multi-head attention modules and the feed-forward network, with the released key names.

Shapes: x [..., C] tokens in the layout at hand, context [B, M, Cctx], H heads of D channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.layers.norms import MultiHeadRMSNorm
from models.layers.tokens import TokenLayout


def split_heads(x: Tensor, parts: int, heads: int) -> tuple[Tensor, ...]:
    """[..., parts H D] -> `parts` tensors [..., H, D]."""
    return x.unflatten(-1, (parts, heads, -1)).unbind(-3)


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

    def normed(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        return (self.q_rms_norm(q), self.k_rms_norm(k)) if self.qk_rms_norm else (q, k)


class SelfAttention(_Attention):
    """Attention among tokens; keys `to_qkv`, `to_out`, and `{q,k}_rms_norm.gamma` if normed."""

    def __init__(self, channels: int, heads: int, qk_rms_norm: bool = False) -> None:
        super().__init__(channels, heads, qk_rms_norm)
        self.to_qkv = nn.Linear(channels, 3 * channels)

    def forward(self, x: Tensor, tokens: TokenLayout) -> Tensor:
        q, k, v = split_heads(self.to_qkv(x), 3, self.heads)
        q, k = self.normed(q, k)
        return self.to_out(tokens.self_attention(q, k, v).flatten(-2))


class CrossAttention(_Attention):
    """Attention from tokens to a dense context [B, M, Cctx]; keys `to_q`, `to_kv`, `to_out`."""

    def __init__(self, channels: int, context_channels: int, heads: int, qk_rms_norm: bool = False) -> None:
        super().__init__(channels, heads, qk_rms_norm)
        self.to_q = nn.Linear(channels, channels)
        self.to_kv = nn.Linear(context_channels, 2 * channels)

    def forward(self, x: Tensor, context_BMC: Tensor, tokens: TokenLayout) -> Tensor:
        (q,) = split_heads(self.to_q(x), 1, self.heads)
        k, v = split_heads(self.to_kv(context_BMC), 2, self.heads)
        q, k = self.normed(q, k)
        return self.to_out(tokens.cross_attention(q, k, v).flatten(-2))


class FeedForward(nn.Module):
    """Linear, GELU (tanh approximation), Linear; keys `mlp.0`, `mlp.2`."""

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        hidden = int(channels * ratio)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.GELU("tanh"), nn.Linear(hidden, channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.mlp(x)
