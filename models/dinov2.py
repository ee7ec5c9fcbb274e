"""DINOv2 vision transformer, with or without register tokens.

Shapes: B images, h w patches, P = h w, T = 1 + registers + P tokens, C width.
Source: DINOv2 (Oquab et al. 2023; registers: Darcet et al. 2023); key names of the hub checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.execution import DEFAULT_EXECUTION, Execution
from models.layers.attention import split_heads
from models.layers.norms import LayerNorm32
from models.sparse.segments import dense_attention

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class DinoConfig:
    """img_size: edge of the images that the stored position embedding belongs to.

    interpolate_offset, interpolate_antialias: how the position embedding is resized to other image sizes.
    """

    img_size: int = 518
    patch_size: int = 14
    embed_dim: int = 1024
    depth: int = 24
    num_heads: int = 16
    mlp_ratio: float = 4.0
    num_register_tokens: int = 0
    interpolate_antialias: bool = False
    interpolate_offset: float = 0.1


@dataclass(frozen=True)
class DinoTokens:
    """All tokens of the last block, before and after the final norm: [class | registers | patches]."""

    before_norm_BTC: Tensor
    normed_BTC: Tensor
    num_registers: int

    @property
    def class_BC(self) -> Tensor:
        return self.normed_BTC[:, 0]

    @property
    def registers(self) -> Tensor:
        return self.normed_BTC[:, 1 : 1 + self.num_registers]

    @property
    def patches_BPC(self) -> Tensor:
        return self.normed_BTC[:, 1 + self.num_registers :]


class _Attention(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = split_heads(self.qkv(x), 3, self.heads)
        return self.proj(dense_attention(q, k, v).flatten(-2))


class _Mlp(nn.Module):
    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, int(channels * ratio))
        self.fc2 = nn.Linear(int(channels * ratio), channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class _LayerScale(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class DinoBlock(nn.Module):
    """x += ls1 Attn(LN1 x); x += ls2 MLP(LN2 x)."""

    def __init__(self, config: DinoConfig) -> None:
        super().__init__()
        C = config.embed_dim
        self.norm1 = LayerNorm32(C, affine=True)
        self.attn = _Attention(C, config.num_heads)
        self.ls1 = _LayerScale(C)
        self.norm2 = LayerNorm32(C, affine=True)
        self.mlp = _Mlp(C, config.mlp_ratio)
        self.ls2 = _LayerScale(C)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class _PatchEmbedding(nn.Module):
    def __init__(self, config: DinoConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.embed_dim, config.patch_size, stride=config.patch_size)

    def forward(self, image_B3HW: Tensor) -> Tensor:
        return self.proj(image_B3HW).flatten(2).transpose(1, 2)


class DinoVisionTransformer(nn.Module):
    """Image [B, 3, H, W], normalised with ImageNet's mean and deviation, sides divisible by the patch -> tokens."""

    def __init__(self, config: DinoConfig, execution: Execution = DEFAULT_EXECUTION) -> None:
        super().__init__()
        C, self.config, self.execution = config.embed_dim, config, execution
        self.stored_edge = config.img_size // config.patch_size
        self.patch_embed = _PatchEmbedding(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, C))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + self.stored_edge**2, C))
        self.mask_token = nn.Parameter(torch.zeros(1, C))  # stored in the checkpoints, used only in their pre-training
        if config.num_register_tokens:
            self.register_tokens = nn.Parameter(torch.zeros(1, config.num_register_tokens, C))
        self.blocks = nn.ModuleList(DinoBlock(config) for _ in range(config.depth))
        self.norm = LayerNorm32(C, affine=True)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, image_B3HW: Tensor) -> DinoTokens:
        x = self.embed(image_B3HW)
        for block in self.blocks:
            x = self.execution.run_block(block, x)
        return DinoTokens(x, self.norm(x), self.config.num_register_tokens)

    def intermediate(self, image_B3HW: Tensor, layers: tuple[int, ...]) -> list[DinoTokens]:
        """The tokens after each of the blocks `layers` (counted from 0), in block order."""
        x = self.embed(image_B3HW)
        outputs = []
        for i, block in enumerate(self.blocks):
            x = self.execution.run_block(block, x)
            if i in layers:
                outputs.append(DinoTokens(x, self.norm(x), self.config.num_register_tokens))
        return outputs

    def embed(self, image_B3HW: Tensor) -> Tensor:
        """Class, register and patch tokens with positions, [B, T, C]."""
        B, _, H, W = image_B3HW.shape
        patch = self.config.patch_size
        if H % patch or W % patch:
            raise ValueError(f"an image of {W}x{H} cannot be cut into patches of {patch}; resize it to multiples")
        x = torch.cat([self.cls_token.expand(B, -1, -1), self.patch_embed(image_B3HW)], dim=1)
        x = x + self.position_embedding(H // patch, W // patch)
        if self.config.num_register_tokens:
            x = torch.cat([x[:, :1], self.register_tokens.expand(B, -1, -1), x[:, 1:]], dim=1)
        return x

    def position_embedding(self, height: int, width: int) -> Tensor:
        """[1, 1 + height width, C], resized bicubically from the stored grid if the patch grid differs."""
        M = self.stored_edge
        if height == width == M:
            return self.pos_embed
        grid = self.pos_embed[:, 1:].float().unflatten(1, (M, M)).permute(0, 3, 1, 2)
        offset = self.config.interpolate_offset
        target: dict[str, Any]
        if offset:  # the released scale factors; the offset keeps rounding from losing a row
            target = {"scale_factor": ((height + offset) / M, (width + offset) / M)}
        else:
            target = {"size": (height, width)}
        grid = F.interpolate(grid, mode="bicubic", antialias=self.config.interpolate_antialias, **target)
        if grid.shape[-2:] != (height, width):
            raise ValueError(f"the position embedding came out as {tuple(grid.shape[-2:])}, not {(height, width)}")
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2).to(self.pos_embed.dtype)], dim=1)


def normalise_image(image_B3HW: Tensor) -> Tensor:
    """[0, 1] RGB -> ImageNet statistics."""
    mean, std = (image_B3HW.new_tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (image_B3HW - mean) / std


_SIZES = {"vits14": (384, 12, 6), "vitb14": (768, 12, 12), "vitl14": (1024, 24, 16)}  # width, blocks, heads
HUB_MODELS = tuple(f"dinov2_{size}{suffix}" for size in _SIZES for suffix in ("", "_reg"))


def dino_config(name: str) -> DinoConfig:
    """Config of a hub model; those with `_reg` have four register tokens."""
    if name not in HUB_MODELS:
        raise ValueError(f"unknown DINOv2 model {name!r}; known are {', '.join(HUB_MODELS)}")
    size, _, suffix = name.removeprefix("dinov2_").partition("_")
    width, depth, heads = _SIZES[size]
    registers: dict[str, Any] = {"num_register_tokens": 4, "interpolate_antialias": True, "interpolate_offset": 0.0}
    return DinoConfig(embed_dim=width, depth=depth, num_heads=heads, **(registers if suffix else {}))
