"""Sparse-structure VAE: a 64^3 occupancy grid <-> a 16^3 latent grid.

Shapes: B batch, C channels, R grid edge (64 official), r latent edge R / 2^(levels - 1).
Source: TRELLIS; sizes in models/README.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch
from torch import Tensor, nn

from models.layers.grids import pixel_shuffle_3d
from models.layers.norms import ChannelLayerNorm32, GroupNorm32
from models.weights import zero_

NormType = Literal["layer", "group"]


@dataclass(frozen=True)
class StructureEncoderConfig:
    """channels: width per level, finest first; each level after the first halves the resolution."""

    in_channels: int
    latent_channels: int
    num_res_blocks: int
    channels: tuple[int, ...]
    num_res_blocks_middle: int = 2
    norm_type: NormType = "layer"


@dataclass(frozen=True)
class StructureDecoderConfig:
    """channels: width per level, coarsest first; each level after the first doubles the resolution."""

    out_channels: int
    latent_channels: int
    num_res_blocks: int
    channels: tuple[int, ...]
    num_res_blocks_middle: int = 2
    norm_type: NormType = "layer"


class ResBlock3d(nn.Module):
    """conv2(SiLU(LN2(conv1(SiLU(LN1 x))))) + x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = ChannelLayerNorm32(channels)
        self.norm2 = ChannelLayerNorm32(channels)
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)
        zero_(self.conv2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(nn.functional.silu(self.norm1(x)))
        return x + self.conv2(nn.functional.silu(self.norm2(h)))


class Downsample3d(nn.Module):
    """Strided convolution to half the resolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Upsample3d(nn.Module):
    """Convolution and pixel shuffle to twice the resolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels * 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return pixel_shuffle_3d(self.conv(x), 2)


class SparseStructureEncoder(nn.Module):
    """Occupancy [B, 1, R, R, R] -> latent [B, C, r, r, r]."""

    def __init__(self, config: StructureEncoderConfig) -> None:
        super().__init__()
        widths, last = config.channels, config.channels[-1]
        self.config = config
        self.input_layer = nn.Conv3d(config.in_channels, widths[0], 3, padding=1)
        self.blocks = _levels(widths, config.num_res_blocks, Downsample3d)
        self.middle_block = _middle(last, config.num_res_blocks_middle)
        self.out_layer = _head(last, config.latent_channels * 2, config.norm_type)

    def forward(self, occupancy: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latent, each [B, C, r, r, r] float32. The mean is the latent in use."""
        first: Callable[[Tensor], Tensor] = self.input_layer
        blocks = [*self.blocks, *self.middle_block]
        if isinstance(halving := blocks[0], Downsample3d):
            first, blocks = _as_one(self.input_layer, halving.conv), blocks[1:]
        x = first(occupancy.float())
        for block in blocks:
            x = block(x)
        mean, logvar = _float32(self.out_layer, x).chunk(2, dim=1)
        return mean, logvar


class SparseStructureDecoder(nn.Module):
    """Latent [B, C, r, r, r] -> occupancy logits [B, 1, R, R, R] float32; a voxel is occupied if its logit > 0."""

    def __init__(self, config: StructureDecoderConfig) -> None:
        super().__init__()
        widths = config.channels
        self.config = config
        self.input_layer = nn.Conv3d(config.latent_channels, widths[0], 3, padding=1)
        self.middle_block = _middle(widths[0], config.num_res_blocks_middle)
        self.blocks = _levels(widths, config.num_res_blocks, Upsample3d)
        self.out_layer = _head(widths[-1], config.out_channels, config.norm_type)

    def forward(self, latent: Tensor) -> Tensor:
        x = self.input_layer(latent)
        for block in (*self.middle_block, *self.blocks):
            x = block(x)
        return _float32(self.out_layer, x)


def sample_posterior(mean: Tensor, logvar: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """mean + exp(logvar / 2) eps, for training an autoencoder."""
    noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    return mean + (logvar / 2).exp() * noise


def _as_one(first: nn.Conv3d, halving: nn.Conv3d) -> Callable[[Tensor], Tensor]:
    """The convolution that two in a row amount to: of edge 3 on the whole grid, then of edge 2 that halves it.

    What lies between them is the largest array of the network, and on a CPU most of its time.
    """
    assert first.bias is not None and halving.bias is not None
    taps = first.weight.shape[-1] + 1
    weight = halving.weight.new_zeros(len(halving.weight), first.in_channels, taps, taps, taps)
    for x, y, z in product(range(2), repeat=3):
        part = torch.einsum("om,mixyz->oixyz", halving.weight[..., x, y, z], first.weight)
        weight = weight + nn.functional.pad(part, (z, 1 - z, y, 1 - y, x, 1 - x))
    bias = halving.bias + halving.weight.sum((2, 3, 4)) @ first.bias
    return lambda grid: nn.functional.conv3d(grid, weight, bias, stride=2, padding=1)


def _levels(widths: tuple[int, ...], res_blocks: int, resample: type[nn.Module]) -> nn.ModuleList:
    blocks: list[nn.Module] = []
    for level, width in enumerate(widths):
        blocks += [ResBlock3d(width) for _ in range(res_blocks)]
        if level + 1 < len(widths):
            blocks.append(resample(width, widths[level + 1]))
    return nn.ModuleList(blocks)


def _middle(width: int, res_blocks: int) -> nn.Sequential:
    return nn.Sequential(*[ResBlock3d(width) for _ in range(res_blocks)])


def _head(channels: int, out_channels: int, norm_type: NormType) -> nn.Sequential:
    norm = GroupNorm32(32, channels) if norm_type == "group" else ChannelLayerNorm32(channels)
    return nn.Sequential(norm, nn.SiLU(), nn.Conv3d(channels, out_channels, 3, padding=1))


def _float32(head: nn.Module, x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return head(x.float())
