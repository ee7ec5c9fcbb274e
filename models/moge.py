"""MoGe-2: one image -> point map, normals, validity mask and metric scale, and its intermediate feature maps.

Shapes: B images, H W image, h w tokens of the encoder, level l has (h 2^l) x (w 2^l) pixels.
Source: MoGe-2 (Wang et al. 2025); its checkpoint carries the config that `MogeConfig.from_official` reads.
Focal length and depth shift are recovered from the point map in `models/point_map_camera.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.dinov2 import HUB_MODELS, IMAGENET_MEAN, IMAGENET_STD, DinoConfig, DinoVisionTransformer, dino_config
from models.execution import DEFAULT_EXECUTION, Execution
from models.moge_layers import ConvStack, ConvStackConfig, resize

LEVELS = 5


@dataclass(frozen=True)
class MogeConfig:
    """backbone: the image transformer; intermediate_layers: blocks whose patch tokens are summed to `dim_out` maps.

    points_head, normal_head, mask_head, scale_head: None where a checkpoint has no such head.
    num_tokens_range: numbers of tokens h w that the network was trained for.
    """

    backbone: DinoConfig
    intermediate_layers: tuple[int, ...]
    dim_out: int
    neck: ConvStackConfig
    points_head: ConvStackConfig | None = None
    normal_head: ConvStackConfig | None = None
    mask_head: ConvStackConfig | None = None
    scale_head: tuple[int, ...] | None = None
    remap_output: Literal["linear", "sinh", "exp", "sinh_exp"] = "linear"
    num_tokens_range: tuple[int, int] = (1200, 3600)

    @classmethod
    def from_official(cls, kwargs: Mapping[str, Any], backbone: DinoConfig | None = None) -> Self:
        """From the `model_config` of a checkpoint; `backbone` overrides the one it names."""
        encoder = kwargs["encoder"]
        layers = encoder["intermediate_layers"]
        backbone = backbone or dino_config(encoder["backbone"])
        if isinstance(layers, int):  # the last so many
            layers = range(backbone.depth - layers, backbone.depth)
        heads = {
            name: ConvStackConfig.from_official(kwargs[name])
            for name in ("points_head", "normal_head", "mask_head")
            if kwargs.get(name)
        }
        scale = kwargs.get("scale_head")
        return cls(
            backbone=backbone,
            intermediate_layers=tuple(layers),
            dim_out=encoder["dim_out"],
            neck=ConvStackConfig.from_official(kwargs["neck"]),
            scale_head=tuple(scale["dims"]) if scale else None,
            remap_output=kwargs.get("remap_output", "linear"),
            num_tokens_range=tuple(kwargs.get("num_tokens_range", (1200, 3600))),
            **heads,
        )

    def to_official(self) -> dict[str, Any]:
        """The inverse of `from_official`; the backbone must be one of DINOv2's hub models."""
        known = {dino_config(name): name for name in HUB_MODELS}
        if self.backbone not in known:
            raise ValueError("only hub models of DINOv2 have an official name; this backbone is none of them")
        heads = {name: getattr(self, name) for name in ("neck", "points_head", "normal_head", "mask_head")}
        return {
            "encoder": {
                "backbone": known[self.backbone],
                "intermediate_layers": list(self.intermediate_layers),
                "dim_out": self.dim_out,
            },
            **{name: asdict(head) for name, head in heads.items() if head is not None},
            **({"scale_head": {"dims": list(self.scale_head)}} if self.scale_head else {}),
            "remap_output": self.remap_output,
            "num_tokens_range": list(self.num_tokens_range),
        }


@dataclass(frozen=True)
class MogeOutput:
    """At image resolution, None where there is no head: points_BHW3 (affine in z, up to the shift that
    `point_map_camera` recovers), normal_BHW3 (unit), mask_BHW in [0, 1], metric_scale_B."""

    points_BHW3: Tensor | None
    normal_BHW3: Tensor | None
    mask_BHW: Tensor | None
    metric_scale_B: Tensor | None


class MogeEncoder(nn.Module):
    """DINOv2 with its intermediate patch tokens projected and summed into one map."""

    image_mean: Tensor
    image_std: Tensor

    def __init__(self, config: MogeConfig, execution: Execution) -> None:
        super().__init__()
        self.config = config
        self.backbone = DinoVisionTransformer(config.backbone, execution)
        width = config.backbone.embed_dim
        self.output_projections = nn.ModuleList(nn.Conv2d(width, config.dim_out, 1) for _ in config.intermediate_layers)
        self.register_buffer("image_mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("image_std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, image_B3HW: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Feature map [B, C, height, width] and class token [B, C] of an RGB image in [0, 1]."""
        patch = self.config.backbone.patch_size
        image = resize(image_B3HW, (height * patch, width * patch), antialias=True)
        image = (image - self.image_mean) / self.image_std
        layers = self.backbone.intermediate(image, self.config.intermediate_layers)
        maps = [
            project(tokens.patches_BPC.transpose(1, 2).unflatten(2, (height, width)).contiguous())
            for project, tokens in zip(self.output_projections, layers, strict=True)
        ]
        return torch.stack(maps).sum(0), layers[-1].class_BC


class Moge(nn.Module):
    """The estimator: `forward` for maps at image resolution, `features` for the neck's maps."""

    def __init__(self, config: MogeConfig, execution: Execution = DEFAULT_EXECUTION) -> None:
        super().__init__()
        self.config = config
        self.encoder = MogeEncoder(config, execution)
        self.neck = ConvStack(config.neck)
        for name in ("points_head", "normal_head", "mask_head"):
            head = getattr(config, name)
            setattr(self, name, None if head is None else ConvStack(head))
        self.scale_head = _mlp(config.scale_head) if config.scale_head else None

    def features(
        self, image_B3HW: Tensor, num_tokens: int | None = None, grid: tuple[int, int] | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """The neck's maps, coarse to fine, and the class token [B, C].

        num_tokens: None for the most that it was trained with; a grid of the image's shape has about so many, rounded
        down, as in 3D-Fixer's copy of MoGe. grid: its rows and columns instead, which MoGe's own package rounds.
        3D-Fixer conditions on level 0 (structure) and on the last level (texture), at h = w = 37 tokens.
        """
        aspect = image_B3HW.shape[-1] / image_B3HW.shape[-2]
        num_tokens = num_tokens or self.config.num_tokens_range[1]
        height, width = grid or (int(math.sqrt(num_tokens / aspect)), int(math.sqrt(num_tokens * aspect)))
        encoded, class_BC = self.encoder(image_B3HW, height, width)
        levels: list[Tensor] = []
        for level in range(LEVELS):
            uv = view_plane_uv(width << level, height << level, aspect, encoded.device).permute(2, 0, 1)
            levels.append(uv.to(encoded.dtype).expand(len(encoded), -1, -1, -1))
        levels[0] = torch.cat([encoded, levels[0]], dim=1)
        return self.neck(levels), class_BC

    def forward(
        self, image_B3HW: Tensor, num_tokens: int | None = None, grid: tuple[int, int] | None = None
    ) -> MogeOutput:
        """All heads, for an RGB image in [0, 1]. num_tokens, grid: see `features`."""
        levels, class_BC = self.features(image_B3HW, num_tokens, grid)
        size = (image_B3HW.shape[-2], image_B3HW.shape[-1])
        points, normal, mask = (
            None if head is None else resize(head(levels)[-1].float(), size)
            for head in (self.points_head, self.normal_head, self.mask_head)
        )
        scale = None
        if self.scale_head is not None:
            with torch.autocast(class_BC.device.type, enabled=False):
                scale = self.scale_head(class_BC.float()).squeeze(1).exp()
        return MogeOutput(
            points_BHW3=None if points is None else remap_points(points.permute(0, 2, 3, 1), self.config.remap_output),
            normal_BHW3=None if normal is None else F.normalize(normal.permute(0, 2, 3, 1), dim=-1),
            mask_BHW=None if mask is None else mask.squeeze(1).sigmoid(),
            metric_scale_B=scale,
        )


def view_plane_uv(width: int, height: int, aspect: float, device: torch.device | None = None) -> Tensor:
    """[height, width, 2] pixel centres on a view plane whose half diagonal is 1, u to the right, v down."""
    span_u = aspect / math.sqrt(1 + aspect**2)
    span_v = 1 / math.sqrt(1 + aspect**2)
    edge_u, edge_v = span_u * (width - 1) / width, span_v * (height - 1) / height
    u = torch.linspace(-edge_u, edge_u, width, device=device)
    v = torch.linspace(-edge_v, edge_v, height, device=device)
    return torch.stack(torch.meshgrid(u, v, indexing="xy"), dim=-1)


def remap_points(points: Tensor, remap: Literal["linear", "sinh", "exp", "sinh_exp"]) -> Tensor:
    """Raw head output [..., 3] -> points; "exp" keeps the depth positive."""
    if remap == "linear":
        return points
    if remap == "sinh":
        return points.sinh()
    xy, z = points.split([2, 1], dim=-1)
    if remap == "exp":
        return torch.cat([xy * z.exp(), z.exp()], dim=-1)
    return torch.cat([xy.sinh(), z.exp()], dim=-1)


def _mlp(dims: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (width, next_width) in enumerate(pairwise(dims)):
        layers += [nn.ReLU(inplace=True)] * bool(i) + [nn.Linear(width, next_width)]
    return nn.Sequential(*layers)
