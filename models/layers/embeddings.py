"""Sinusoidal embeddings of time steps and voxel positions.

Shapes: B batch, C channels, ... any leading dimensions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.layers.norms import Linear32

FREQUENCY_CHANNELS = 256


def timestep_embedding(t_B: Tensor, channels: int) -> Tensor:
    """[B, channels]: [cos(t f), sin(t f)] with f_i = 10000^(-i / half); a zero is appended if `channels` is odd."""
    half = channels // 2
    frequency = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=torch.float32, device=t_B.device) / half)
    angle = t_B.float()[:, None] * frequency
    embedding = torch.cat([angle.cos(), angle.sin()], dim=-1)
    return nn.functional.pad(embedding, (0, channels % 2))


def position_embedding(position: Tensor, channels: int) -> Tensor:
    """[..., channels] from integer positions [..., axes].

    Per axis [sin(p f), cos(p f)] with n = channels // axes // 2 frequencies 10000^(-i / n); the axes are
    concatenated in order and zeros fill up to `channels`.
    """
    axes = position.shape[-1]
    count = channels // axes // 2
    frequency = 10000.0 ** (-torch.arange(count, dtype=torch.float32, device=position.device) / count)
    angle = position.float()[..., None] * frequency
    embedding = torch.cat([angle.sin(), angle.cos()], dim=-1).flatten(-2)
    return nn.functional.pad(embedding, (0, channels - embedding.shape[-1]))


class TimestepEmbedder(nn.Module):
    """Scalar in [0, 1000] per batch item -> [B, C]; also embeds the depth ratio and the visibility ratio."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(Linear32(FREQUENCY_CHANNELS, channels), nn.SiLU(), Linear32(channels, channels))

    def forward(self, t_B: Tensor) -> Tensor:
        return self.mlp(timestep_embedding(t_B, FREQUENCY_CHANNELS))
