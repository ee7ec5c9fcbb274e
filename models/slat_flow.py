"""SLAT flow transformer: the velocity of latent features on sparse voxels, given image tokens.

Shapes: N voxels (64^3 grid officially), M voxels of the transformer's grid (32^3), B batch, C width, T context tokens.
Source: TRELLIS; sizes in models/README.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn

from models.execution import DEFAULT_EXECUTION, Execution
from models.layers.blocks import CrossBlock, modulation
from models.layers.embeddings import TimestepEmbedder, position_embedding
from models.layers.norms import Linear32, layer_norm_32
from models.layers.tokens import SparseTokens
from models.slat_blocks import SparseResBlock
from models.sparse.voxels import SparseTensor, VoxelSet
from models.structure_flow import FlowConfig
from models.weights import initialise_transformer, open_gates_, zero_


@dataclass(frozen=True)
class SLatFlowConfig(FlowConfig):
    """A flow transformer between sparse convolutional input and output blocks.

    io_block_channels: width of each input/output stage; each stage halves the resolution, so 2^stages is the
        patch size. None: no such blocks, patch size 1.
    use_skip_connection: output blocks also see the matching input block's output.
    """

    num_io_res_blocks: int = 2
    io_block_channels: tuple[int, ...] | None = None
    use_skip_connection: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        stages = len(self.io_block_channels or ())
        if self.patch_size != 2**stages:
            raise ValueError(f"{stages} input/output stages make a patch of {2**stages}, not {self.patch_size}")
        if self.share_mod and stages:
            raise ValueError("share_mod is not defined together with io_block_channels")

    @property
    def io_width(self) -> int:
        return self.io_block_channels[0] if self.io_block_channels else self.model_channels


@dataclass(frozen=True)
class Skip:
    """What an input block leaves for the output block that mirrors it: its output, and the voxels it came from."""

    out: SparseTensor
    entered: VoxelSet


class SLatFlow(nn.Module):
    """v(x, t, context) on sparse latents. `t` comes multiplied by 1000."""

    ragged = True

    def __init__(self, config: SLatFlowConfig, execution: Execution = DEFAULT_EXECUTION) -> None:
        super().__init__()
        c = config
        self.config = c
        self.execution = execution
        self.t_embedder = TimestepEmbedder(c.model_channels)
        if c.share_mod:
            self.adaLN_modulation = modulation(c.model_channels, 6)
        self.input_layer = Linear32(c.in_channels, c.io_width)
        self.input_blocks = input_blocks(c, execution)
        self.blocks = nn.ModuleList(CrossBlock(c.block()) for _ in range(c.num_blocks))
        self.out_blocks = output_blocks(c, execution)
        self.out_layer = Linear32(c.io_width, c.out_channels)
        initialise_transformer(self)
        if c.share_mod:
            zero_(self.adaLN_modulation[1])
        zero_(self.out_layer)

    def start_quickly(self) -> Self:
        """Initialise for short runs of some hundreds of steps: open gates."""
        open_gates_(self.blocks, self.t_embedder)
        return self

    def forward(self, x: SparseTensor, t_B: Tensor, context_BTC: Tensor) -> SparseTensor:
        """The velocity on the voxels of x, [N, C_out] float32."""
        emb = self.embed_time(t_B)
        h, skips = enter(self.input_blocks, x.replace(self.input_layer(x.feats)), emb)
        tokens = self.tokens(h)
        feats = self.place(h)
        for block in self.blocks:
            feats = self.execution.run_block(block, feats, emb, context_BTC, tokens)
        return self.project(h.replace(feats), skips, emb)

    def embed_time(self, t_B: Tensor) -> Tensor:
        """What the blocks are modulated by: [B, C], or [B, 6C] with a shared modulation."""
        emb = self.t_embedder(t_B)
        return self.adaLN_modulation(emb) if self.config.share_mod else emb

    def tokens(self, h: SparseTensor) -> SparseTokens:
        return SparseTokens.full(h.voxels, self.execution.attention)

    def place(self, h: SparseTensor) -> Tensor:
        """Features [M, C] with the embedding of their positions."""
        return h.feats + position_embedding(h.coords[:, 1:], self.config.model_channels)

    def project(self, h: SparseTensor, skips: list[Skip], emb_BC: Tensor) -> SparseTensor:
        """Transformer features -> velocity on the original voxels."""
        for block, skip in zip(self.out_blocks, reversed(skips), strict=True):
            if self.config.use_skip_connection:
                h = h.replace(torch.cat([h.feats, skip.out.feats], dim=1))
            h = block(h, emb_BC, fine=skip.entered)
        return h.replace(self.out_layer(layer_norm_32(h.feats)))


def input_blocks(config: SLatFlowConfig, execution: Execution) -> nn.ModuleList:
    """Per stage `num_io_res_blocks - 1` residual blocks, then one that halves the resolution."""
    widths = (*(config.io_block_channels or ()), config.model_channels)
    args: dict[str, Any] = {"emb_channels": config.model_channels, "backend": execution.sparse_conv}
    blocks: list[nn.Module] = []
    for width, next_width in pairwise(widths):
        blocks += [SparseResBlock(width, width, **args) for _ in range(config.num_io_res_blocks - 1)]
        blocks.append(SparseResBlock(width, next_width, resample="down", **args))
    return nn.ModuleList(blocks)


def output_blocks(config: SLatFlowConfig, execution: Execution) -> nn.ModuleList:
    """The mirror image: per stage one block that doubles the resolution, then the residual blocks."""
    widths = (*(config.io_block_channels or ()), config.model_channels)
    args: dict[str, Any] = {"emb_channels": config.model_channels, "backend": execution.sparse_conv}
    factor = 2 if config.use_skip_connection else 1
    blocks: list[nn.Module] = []
    for width, previous in reversed(list(pairwise(widths))):
        blocks.append(SparseResBlock(previous * factor, width, resample="up", **args))
        blocks += [SparseResBlock(width * factor, width, **args) for _ in range(config.num_io_res_blocks - 1)]
    return nn.ModuleList(blocks)


def enter(blocks: nn.ModuleList, x: SparseTensor, emb_BC: Tensor) -> tuple[SparseTensor, list[Skip]]:
    """Run the input blocks; their output, and what each leaves for its mirror image."""
    skips = []
    for block in blocks:
        entered, x = x.voxels, block(x, emb_BC)
        skips.append(Skip(x, entered))
    return x, skips
