"""Small encoders for machines and checkpoints without DINOv2 and MoGe-2: one ImageNet classifier for everything.

It knows less about shape and nothing about depth. Its weights come in a Python package, so that a system can be trained
and run from end to end without any download. A checkpoint names its encoders; others are refused for it.

Shapes: B images, S edge, g = S / 16 the grid of tokens, T = 1 + g^2 tokens, D their width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.efficientnet import CHANNELS, NAME, EfficientNetLite0
from models.layers.embeddings import position_embedding
from models.layers.norms import layer_norm_32
from pipelines.encoders.protocol import EncoderSizes, SceneFeatures

DEFAULT_PX = 128
_PATCH = 16  # pixels of a token's edge: the stride of the fourth level
_TOKEN_LEVELS = (2, 3, 4)  # strides 8, 16, 32: finer detail, the token itself, its surroundings
_POSITION_CHANNELS = 40  # convolutions do not tell where they are; DINOv2's tokens do
_VOXEL_LEVELS = (2, 3)  # what `scenegen objects` averages into voxels with this network
_DETAIL_LEVELS = (0, 1)  # strides 2 and 4


class EfficientNetEncoders:
    """Implements `ImageEncoders` with EfficientNet-Lite0."""

    name = NAME

    def __init__(self, network: EfficientNetLite0, image_px: int = DEFAULT_PX) -> None:
        if image_px % 32:
            raise ValueError(f"{NAME} needs images whose edge is a multiple of 32 px, not {image_px}")
        self._network = network
        self.sizes = EncoderSizes(
            image_px=image_px,
            tokens=1 + (image_px // _PATCH) ** 2,
            width=sum(CHANNELS[level] for level in _TOKEN_LEVELS) + _POSITION_CHANNELS,
            scene_grid=image_px // _PATCH,
            detail_channels=3 + sum(CHANNELS[level] for level in _DETAIL_LEVELS),
            voxel_channels=sum(CHANNELS[level] for level in _VOXEL_LEVELS),
        )

    def networks(self) -> tuple[nn.Module, ...]:
        return (self._network,)

    @torch.no_grad()
    def image_tokens(self, images_B3SS: Tensor) -> Tensor:
        """[B, T, D]: the mean over the image, then its patches row by row."""
        patches_BLD = _tokens(self._network.maps(images_B3SS)).flatten(2).transpose(1, 2)
        return torch.cat([patches_BLD.mean(1, keepdim=True), patches_BLD], dim=1)

    @torch.no_grad()
    def scene_features(self, images_B3SS: Tensor) -> SceneFeatures:
        """The detailed map has half the image's resolution: colour, then levels 0 and 1, each normed by itself."""
        maps = self._network.maps(images_B3SS)
        size = (maps[0].shape[-2], maps[0].shape[-1])
        colour = F.avg_pool2d(2 * images_B3SS - 1, 2)
        detail = [_resized(_normed(maps[level]), size) for level in _DETAIL_LEVELS]
        return SceneFeatures(_tokens(maps), torch.cat([colour, *detail], dim=1))


def _tokens(maps: list[Tensor]) -> Tensor:
    """[B, D, g, g]: three levels, each normed so that none outweighs the others, and the position."""
    B, _, height, width = maps[3].shape
    parts = [_resized(_normed(maps[level]), (height, width)) for level in _TOKEN_LEVELS]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    position = position_embedding(torch.stack([rows, columns], dim=-1), _POSITION_CHANNELS).to(parts[0])
    return torch.cat([*parts, position.permute(2, 0, 1).expand(B, -1, -1, -1)], dim=1)


def _normed(map_BCHW: Tensor) -> Tensor:
    return layer_norm_32(map_BCHW.movedim(1, -1)).movedim(-1, 1)


def _resized(map_BCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Mean over pixels that become one, bilinear where they become more."""
    if map_BCHW.shape[-1] > size[-1]:
        return F.adaptive_avg_pool2d(map_BCHW, size)
    return F.interpolate(map_BCHW, size, mode="bilinear", align_corners=False)
