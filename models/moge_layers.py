"""MoGe-2's pyramid of convolutions, used as its neck and as its heads.

Shapes: B images, C channels, level l has twice the height and width of level l - 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Self

import torch.nn.functional as F
from torch import Tensor, nn

ConvNorm = Literal["none", "group_norm", "layer_norm"]
Resampling = Literal["conv_transpose", "bilinear", "nearest", "pixel_shuffle"]


@dataclass(frozen=True)
class ConvStackConfig:
    """dim_in, dim_out: channels per level, None for no input or output convolution; dim_res_blocks: widths."""

    dim_in: tuple[int | None, ...]
    dim_res_blocks: tuple[int, ...]
    dim_out: tuple[int | None, ...]
    num_res_blocks: tuple[int, ...]
    resamplers: tuple[Resampling, ...]
    res_block_in_norm: ConvNorm = "layer_norm"
    res_block_hidden_norm: ConvNorm = "group_norm"

    @classmethod
    def from_official(cls, kwargs: Mapping[str, Any]) -> Self:
        """From the checkpoint's config, in which one value may stand for all levels.

        Raises ValueError for options that no released checkpoint uses.
        """
        levels = len(kwargs["dim_res_blocks"])
        for name, only in (("activation", "relu"), ("dim_times_res_block_hidden", 1)):
            if kwargs.get(name, only) != only:
                raise ValueError(f"{name}={kwargs[name]!r} is not built, only {only!r}")

        def per_level(value: Any, count: int) -> tuple:
            listed = isinstance(value, Sequence) and not isinstance(value, str)
            return tuple(value) if listed else (value,) * count

        return cls(
            dim_in=per_level(kwargs["dim_in"], levels),
            dim_res_blocks=tuple(kwargs["dim_res_blocks"]),
            dim_out=per_level(kwargs.get("dim_out"), levels),
            num_res_blocks=per_level(kwargs.get("num_res_blocks", 1), levels),
            resamplers=per_level(kwargs["resamplers"], levels - 1),
            res_block_in_norm=kwargs.get("res_block_in_norm", "layer_norm"),
            res_block_hidden_norm=kwargs.get("res_block_hidden_norm", "group_norm"),
        )


class ResidualConvBlock(nn.Module):
    """[norm, ReLU, conv3, norm, ReLU, conv3] + x, with replicated borders; keys `layers.2`, `layers.5`."""

    def __init__(self, channels: int, in_norm: ConvNorm, hidden_norm: ConvNorm) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _norm(in_norm, channels),
            nn.ReLU(),
            _conv3(channels, channels),
            _norm(hidden_norm, channels),
            nn.ReLU(),
            _conv3(channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ConvStack(nn.Module):
    """Maps per level in, maps per level out, coarse to fine; each level adds its input to the resampled last one."""

    def __init__(self, config: ConvStackConfig) -> None:
        super().__init__()
        c, widths = config, config.dim_res_blocks
        self.input_blocks = nn.ModuleList(_conv1(i, w) for i, w in zip(c.dim_in, widths, strict=True))
        self.res_blocks = nn.ModuleList(
            nn.Sequential(*[ResidualConvBlock(w, c.res_block_in_norm, c.res_block_hidden_norm) for _ in range(count)])
            for w, count in zip(widths, c.num_res_blocks, strict=True)
        )
        self.output_blocks = nn.ModuleList(_conv1(w, o) for w, o in zip(widths, c.dim_out, strict=True))
        self.resamplers = nn.ModuleList(
            _resampler(kind, *pair) for kind, pair in zip(c.resamplers, pairwise(widths), strict=True)
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        outputs: list[Tensor] = []
        x: Tensor | None = None
        for i, level in enumerate(levels):
            own = self.input_blocks[i](level)
            x = self.res_blocks[i](own if x is None else x + own)
            outputs.append(self.output_blocks[i](x))
            if i < len(self.resamplers):
                x = self.resamplers[i](x)
        return outputs


def resize(x_BCHW: Tensor, size: tuple[int, int], antialias: bool = False) -> Tensor:
    """Bilinear, by pixel areas (corners not aligned)."""
    return F.interpolate(x_BCHW, size, mode="bilinear", align_corners=False, antialias=antialias)


def _conv1(in_channels: int | None, out_channels: int | None) -> nn.Module:
    return nn.Identity() if in_channels is None or out_channels is None else nn.Conv2d(in_channels, out_channels, 1)


def _conv3(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, padding_mode="replicate")


def _norm(kind: ConvNorm, channels: int) -> nn.Module:
    if kind == "none":
        return nn.Identity()
    if kind == "layer_norm":  # over all channels and pixels, as the reference names it
        return nn.GroupNorm(1, channels)
    if kind == "group_norm":
        return nn.GroupNorm(channels // 32, channels)
    raise ValueError(f"normalisation {kind!r} is not built; choose none, layer_norm or group_norm")


def _resampler(kind: Resampling, in_channels: int, out_channels: int) -> nn.Sequential:
    """Twice the resolution, then a 3x3 convolution."""
    if kind == "conv_transpose":
        return nn.Sequential(
            nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2), _conv3(out_channels, out_channels)
        )
    if kind == "pixel_shuffle":
        return nn.Sequential(
            _conv3(in_channels, out_channels * 4), nn.PixelShuffle(2), _conv3(out_channels, out_channels)
        )
    if kind not in ("bilinear", "nearest"):
        raise ValueError(
            f"resampling {kind!r} is not built; choose from conv_transpose, pixel_shuffle, bilinear, nearest"
        )
    align = {"align_corners": False} if kind == "bilinear" else {}
    return nn.Sequential(nn.Upsample(scale_factor=2, mode=kind, **align), _conv3(in_channels, out_channels))
