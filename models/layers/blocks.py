"""The transformer blocks, each written once for dense and sparse tokens.

`TransformerBlock` (SLAT autoencoder), `CrossBlock` (flow transformers), `SceneBlock` (3D-Fixer's basic block).

Shapes: x [B, L, C] or [N, C] tokens, emb_BC time embedding (or, with a shared modulation, [B, 6C]),
ratio_BC embedding of the depth or visibility ratio, context [B, M, Cctx].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from models.layers.attention import CrossAttention, FeedForward, SelfAttention
from models.layers.norms import LayerNorm32
from models.layers.tokens import TokenLayout


@dataclass(frozen=True)
class BlockConfig:
    """Sizes of a block with cross-attention."""

    channels: int
    context_channels: int
    heads: int
    mlp_ratio: float = 4.0
    qk_rms_norm: bool = False
    qk_rms_norm_cross: bool = False
    share_mod: bool = False


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale) + shift


def modulation(channels: int, chunks: int) -> nn.Sequential:
    """adaLN: SiLU, then a linear to `chunks` vectors per batch item."""
    return nn.Sequential(nn.SiLU(), nn.Linear(channels, chunks * channels))


class TransformerBlock(nn.Module):
    """x += Attn(LN x); x += FFN(LN x); neither norm has parameters."""

    def __init__(self, channels: int, heads: int, mlp_ratio: float, qk_rms_norm: bool = False) -> None:
        super().__init__()
        self.norm1 = LayerNorm32(channels, affine=False)
        self.norm2 = LayerNorm32(channels, affine=False)
        self.attn = SelfAttention(channels, heads, qk_rms_norm)
        self.mlp = FeedForward(channels, mlp_ratio)

    def forward(self, x: Tensor, tokens: TokenLayout) -> Tensor:
        x = x + self.attn(self.norm1(x), tokens)
        return x + self.mlp(self.norm2(x))


class CrossBlock(nn.Module):
    """Modulated self-attention, cross-attention, modulated FFN.

    x += gate_a SA(LN1(x) (1 + scale_a) + shift_a);  x += CA(LN2(x), context);
    x += gate_m FFN(LN3(x) (1 + scale_m) + shift_m).
    The modulation is split in the order shift_a, scale_a, gate_a, shift_m, scale_m, gate_m.
    """

    def __init__(self, config: BlockConfig) -> None:
        super().__init__()
        c = config
        self.share_mod = c.share_mod
        self.norm1 = LayerNorm32(c.channels, affine=False)
        self.norm2 = LayerNorm32(c.channels, affine=True)
        self.norm3 = LayerNorm32(c.channels, affine=False)
        self.self_attn = SelfAttention(c.channels, c.heads, c.qk_rms_norm)
        self.cross_attn = CrossAttention(c.channels, c.context_channels, c.heads, c.qk_rms_norm_cross)
        self.mlp = FeedForward(c.channels, c.mlp_ratio)
        if not c.share_mod:
            self.adaLN_modulation = modulation(c.channels, 6)

    def forward(self, x: Tensor, emb_BC: Tensor, context: Tensor, tokens: TokenLayout) -> Tensor:
        attend, feed = self.modulations(emb_BC, tokens)
        x = self.attend(x, attend, context, tokens)
        return self.feed(x, feed)

    def modulations(self, emb_BC: Tensor, tokens: TokenLayout) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """(shift, scale, gate) of the attention and of the FFN, broadcastable to the tokens."""
        emb_B6C = emb_BC if self.share_mod else self.adaLN_modulation(emb_BC)
        parts = tuple(tokens.spread(part) for part in emb_B6C.chunk(6, dim=-1))
        return parts[:3], parts[3:]

    def attend(self, x: Tensor, attend: tuple[Tensor, ...], context: Tensor, tokens: TokenLayout) -> Tensor:
        shift, scale, gate = attend
        x = x + gate * self.self_attn(modulate(self.norm1(x), shift, scale), tokens)
        return x + self.cross_attn(self.norm2(x), context, tokens)

    def feed(self, x: Tensor, feed: tuple[Tensor, ...]) -> Tensor:
        shift, scale, gate = feed
        return x + gate * self.mlp(modulate(self.norm3(x), shift, scale))


class SceneBlock(CrossBlock):
    """The basic block of 3D-Fixer: a `CrossBlock` with two more steps before its FFN.

    x += gate SA2(LN4(x) (1 + scale) + shift), modulated by the ratio's embedding;  x += CA2(LN5(x), scene context).

    ratio: what the second modulation embeds, the depth ratio ("dpt", completer) or the visibility ratio ("vis",
        texturer); it stands in the released key names.
    """

    def __init__(self, config: BlockConfig, ratio: Literal["dpt", "vis"]) -> None:
        if config.share_mod:
            raise ValueError("a scene block has its own modulation; share_mod is not defined for it")
        super().__init__(config)
        c = config
        self.norm4 = LayerNorm32(c.channels, affine=False)
        self.norm5 = LayerNorm32(c.channels, affine=True)
        self.ratio = ratio
        self.add_module(f"self_attn_{ratio}_ratio", SelfAttention(c.channels, c.heads, c.qk_rms_norm))
        self.add_module(f"adaLN_modulation_{ratio}", modulation(c.channels, 3))
        self.cross_attn_extra = CrossAttention(c.channels, c.context_channels, c.heads, c.qk_rms_norm_cross)

    @property
    def second_attn(self) -> SelfAttention:
        return getattr(self, f"self_attn_{self.ratio}_ratio")

    @property
    def ratio_modulation(self) -> nn.Sequential:
        return getattr(self, f"adaLN_modulation_{self.ratio}")

    def forward(  # type: ignore[override]  # two more inputs than the block that it extends
        self, x: Tensor, emb_BC: Tensor, ratio_BC: Tensor, context: Tensor, scene_context: Tensor, tokens: TokenLayout
    ) -> Tensor:
        attend, feed = self.modulations(emb_BC, tokens)
        x = self.attend(x, attend, context, tokens)
        shift, scale, gate = (tokens.spread(part) for part in self.ratio_modulation(ratio_BC).chunk(3, dim=-1))
        x = x + gate * self.second_attn(modulate(self.norm4(x), shift, scale), tokens)
        x = x + self.cross_attn_extra(self.norm5(x), scene_context, tokens)
        return self.feed(x, feed)
