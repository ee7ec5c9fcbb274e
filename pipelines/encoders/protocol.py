"""What the networks need of image encoders, whichever they are.

Shapes: B images, S edge, T tokens, D their width, h w tokens of the scene, F channels of the detailed map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn


@dataclass(frozen=True)
class EncoderSizes:
    """image_px: edge S of the square images. tokens, width: T and D of `image_tokens`.

    scene_grid: h = w of the scene tokens. detail_channels: F of the detailed map, whose edge is 16 times scene_grid
    for the official pair. voxel_channels: of the features that are averaged into voxels (SLAT encoder's input).
    """

    image_px: int
    tokens: int
    width: int
    scene_grid: int
    detail_channels: int
    voxel_channels: int


@dataclass(frozen=True)
class SceneFeatures:
    """Of the whole image: tokens_BDhw for the structure stages and the texturer, detail_BFHW for its voxels."""

    tokens_BDhw: Tensor
    detail_BFHW: Tensor


class ImageEncoders(Protocol):
    """Frozen encoders, called without gradients. `name` goes into checkpoints; another encoder is refused there."""

    name: str
    sizes: EncoderSizes

    def networks(self) -> tuple[nn.Module, ...]:
        """To be moved to a device."""
        ...

    def image_tokens(self, images_B3SS: Tensor) -> Tensor:
        """[B, T, D] tokens, before any norm, of images in [0, 1] (not yet normalised for the network)."""
        ...

    def scene_features(self, images_B3SS: Tensor) -> SceneFeatures:
        """Of unmasked scene images in [0, 1]."""
        ...
