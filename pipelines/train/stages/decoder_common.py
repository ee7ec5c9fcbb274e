"""What the stages that train decoders of structured latents share: true views, measures of pictures, snapshots.

Shapes: B samples, K views, H W their size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from models.gaussian_decoder import Gaussians
from pipelines.rendering import View
from pipelines.train.data.batches import RenderBatch
from pipelines.train.losses.images import psnr_B, ssim_B
from pipelines.train.stages.pictures import image_picture, table_of_pictures
from pipelines.train.stages.slat_common import draw_BK3HW

WHITE = 1.0


@dataclass(frozen=True)
class TrueViews:
    """The true views of each sample.

    views: K cameras for each sample, in its grid frame. pictures_BK3HW: what they saw, in [0, 1]. background_B: the
    brightness of the grey behind it.
    """

    views: list[list[View]]
    pictures_BK3HW: Tensor
    background_B: Tensor

    @classmethod
    def of(cls, batch: RenderBatch, background_B: Tensor | float, view_px: int | None) -> Self:
        """The views of a batch over a grey. view_px: their edge if they are stored larger; None: as they are stored."""
        rgba = batch.rgba_BK4HW
        premultiplied = torch.cat([rgba[:, :, :3] * rgba[:, :, 3:], rgba[:, :, 3:]], dim=2)
        if view_px is not None and view_px < max(rgba.shape[-2:]):
            small = F.interpolate(premultiplied.flatten(0, 1), size=(view_px, view_px), mode="area")
            premultiplied = small.unflatten(0, rgba.shape[:2])
        background_B = torch.as_tensor(background_B, device=rgba.device, dtype=rgba.dtype).expand(len(batch))
        behind = (1 - premultiplied[:, :, 3:]) * background_B.view(-1, 1, 1, 1, 1)
        height, width = premultiplied.shape[-2:]
        views = [
            [View(T, K, (width, height)) for T, K in zip(poses, intrinsics, strict=True)]
            for poses, intrinsics in zip(batch.T_grid_cam_BK44, batch.K_norm_BK33, strict=True)
        ]
        return cls(views, premultiplied[:, :, :3] + behind, background_B)

    def draw(self, gaussians: Sequence[Gaussians]) -> Tensor:
        """[B, K, 3, H, W]: renders of each sample's Gaussians from its cameras, over its background."""
        return draw_BK3HW(gaussians, self.views, self.background_B)


def black_or_white(uniform_B: Tensor) -> Tensor:
    """[B] 0 or 1: a random background of each sample's pictures, so that transparency cannot pass for a colour.

    uniform_B: random numbers in [0, 1).
    """
    return (uniform_B < 0.5).float()


def measured_pictures(decoded: Iterable[tuple[TrueViews, Sequence[Gaussians]]]) -> dict[str, list[float]]:
    """ "psnr" in dB and "ssim" of each sample, averaged over its views."""
    rows: dict[str, list[float]] = {"psnr": [], "ssim": []}
    for truth, gaussians in decoded:
        pictures = truth.draw(gaussians)
        flat = pictures.flatten(0, 1).clamp(0, 1), truth.pictures_BK3HW.flatten(0, 1)
        for name, value_P in (("psnr", psnr_B(*flat)), ("ssim", ssim_B(*flat))):
            rows[name] += [float(value) for value in value_P.unflatten(0, pictures.shape[:2]).mean(1)]
    return rows


def pictures_beside_truth(gaussians: Sequence[Gaussians], truth: TrueViews, path: Path, views: int = 2) -> list[Path]:
    """Save a table with a row for each object: some of its views, each beside the decoded one; returns its path."""
    images = truth.pictures_BK3HW, truth.draw(gaussians)
    shown = min(views, images[0].shape[1])
    rows = [
        [image_picture(image[b, k]) for k in range(shown) for image in images] for b in range(len(truth.background_B))
    ]
    table_of_pictures(("target", "decoded") * shown, rows).save(path)
    return [path]
