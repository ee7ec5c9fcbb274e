"""Sparse-structure flow transformer: the velocity of a 16^3 latent grid, given image tokens.

Shapes: B batch, R grid edge, p patch, L = (R/p)^3 tokens, C width, M context tokens.
Source: TRELLIS; sizes in models/README.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from models.execution import DEFAULT_EXECUTION, Execution
from models.layers.blocks import BlockConfig, CrossBlock, modulation
from models.layers.embeddings import TimestepEmbedder, position_embedding
from models.layers.grids import grid_positions, grid_to_tokens, tokens_to_grid
from models.layers.norms import Linear32, layer_norm_32
from models.layers.tokens import DenseTokens
from models.weights import initialise_transformer, open_gates_, zero_

_USUAL_T, _INPUT_GAIN = 0.73, 2.0  # of a quick start: sigmoid(1), where training draws most times


@dataclass(frozen=True)
class FlowConfig:
    """Sizes that the dense flow transformer and its control branch share (official argument names)."""

    resolution: int
    in_channels: int
    model_channels: int
    cond_channels: int
    out_channels: int
    num_blocks: int
    num_heads: int | None = None
    num_head_channels: int = 64
    mlp_ratio: float = 4.0
    patch_size: int = 2
    pe_mode: str = "ape"
    share_mod: bool = False
    qk_rms_norm: bool = False
    qk_rms_norm_cross: bool = False

    def __post_init__(self) -> None:
        if self.pe_mode != "ape":
            raise ValueError(f"pe_mode={self.pe_mode!r} is not defined for this network; only 'ape' was ever released")

    def block(self) -> BlockConfig:
        return BlockConfig(
            channels=self.model_channels,
            context_channels=self.cond_channels,
            heads=self.num_heads or self.model_channels // self.num_head_channels,
            mlp_ratio=self.mlp_ratio,
            qk_rms_norm=self.qk_rms_norm,
            qk_rms_norm_cross=self.qk_rms_norm_cross,
            share_mod=self.share_mod,
        )


class SparseStructureFlow(nn.Module):
    """v(x, t, context) on dense latent grids. `t` comes multiplied by 1000."""

    pos_emb: Tensor

    def __init__(self, config: FlowConfig, execution: Execution = DEFAULT_EXECUTION) -> None:
        super().__init__()
        c = config
        self.config = c
        self.execution = execution
        self.t_embedder = TimestepEmbedder(c.model_channels)
        if c.share_mod:
            self.adaLN_modulation = modulation(c.model_channels, 6)
        positions = grid_positions(c.resolution // c.patch_size)
        self.register_buffer("pos_emb", position_embedding(positions, c.model_channels))
        self.input_layer = Linear32(c.in_channels * c.patch_size**3, c.model_channels)
        self.blocks = nn.ModuleList(CrossBlock(c.block()) for _ in range(c.num_blocks))
        self.out_layer = Linear32(c.model_channels, c.out_channels * c.patch_size**3)
        initialise_transformer(self)
        if c.share_mod:
            zero_(self.adaLN_modulation[1])
        zero_(self.out_layer)

    @torch.no_grad()
    def start_quickly(self) -> Self:
        """Initialise for short runs: open gates, and v near x_t / t, the velocity of noise, learned first by long runs.

        For the latter, input and output layer share an orthonormal basis, orthogonal to the constant that the last norm
        removes and, as far as the width allows, to the position embeddings. Networks too narrow for a token's latents
        keep their initialisation.
        """
        open_gates_(self.blocks, self.t_embedder)
        width, size = self.input_layer.weight.shape
        if size != self.out_layer.out_features or size >= width:
            return self
        pos_LC = self.pos_emb.reshape(-1, width)
        constant_1C = torch.full_like(pos_LC[:1], float(len(pos_LC)))
        directions_CC = torch.linalg.svd(torch.cat([constant_1C, pos_LC]).double()).Vh
        basis_CS = directions_CC[-size:].T.float()  # of least position
        nn.init.zeros_(self.input_layer.bias)
        self.input_layer.weight.copy_(_INPUT_GAIN * basis_CS)
        square = size * (_INPUT_GAIN * _USUAL_T) ** 2 + pos_LC.square().sum(1).mean()  # of a token of noise
        self.out_layer.weight.copy_((square / width).sqrt() / (_INPUT_GAIN * _USUAL_T) * basis_CS.T)
        return self

    def forward(self, x_BCRRR: Tensor, t_B: Tensor, context_BMC: Tensor) -> Tensor:
        """The velocity, [B, C_out, R, R, R] float32."""
        h, emb = self.embed(x_BCRRR), self.embed_time(t_B)
        tokens = DenseTokens()
        for block in self.blocks:
            h = self.execution.run_block(block, h, emb, context_BMC, tokens)
        return self.project(h)

    def embed(self, x_BCRRR: Tensor) -> Tensor:
        """Latent grid -> tokens [B, L, C] with their positions."""
        edge = self.config.resolution
        if x_BCRRR.shape[2:] != (edge, edge, edge):
            raise ValueError(f"expected a grid of edge {edge}, got {tuple(x_BCRRR.shape)}")
        return self.input_layer(grid_to_tokens(x_BCRRR, self.config.patch_size)) + self.pos_emb

    def embed_time(self, t_B: Tensor) -> Tensor:
        """What the blocks are modulated by: [B, C], or [B, 6C] with a shared modulation."""
        emb = self.t_embedder(t_B)
        return self.adaLN_modulation(emb) if self.config.share_mod else emb

    def project(self, h_BLC: Tensor) -> Tensor:
        """Tokens -> velocity grid."""
        v_BLC = self.out_layer(layer_norm_32(h_BLC))
        return tokens_to_grid(v_BLC, self.config.resolution, self.config.patch_size)
