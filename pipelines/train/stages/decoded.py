"""What the stages that train decoders of structured latents share: true and drawn views, their measures, snapshots.

Shapes: B samples, K views, H W their size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.gaussian_decoder import Gaussians
from pipelines.rendering import View
from pipelines.train.data.batches import RenderBatch
from pipelines.train.losses.images import over_background, psnr_B, ssim_B
from pipelines.train.pictures import image_picture, table_of_pictures
from pipelines.train.stages.slat import draw_BK3HW

WHITE = 1.0


def coin(uniform_B: Tensor) -> Tensor:
    """[B] 0 or 1: black or white behind a sample's pictures, so that what is transparent cannot pass for a colour."""
    return (uniform_B < 0.5).float()


def views_of(batch: RenderBatch) -> list[list[View]]:
    """The cameras of each sample, in its grid frame."""
    height, width = batch.rgba_u8_BK4HW.shape[-2:]
    return [
        [View(T, K, (width, height)) for T, K in zip(poses, intrinsics, strict=True)]
        for poses, intrinsics in zip(batch.T_grid_cam_BK44, batch.K_norm_BK33, strict=True)
    ]


def draw_views(gaussians: Sequence[Gaussians], batch: RenderBatch, background_B: Tensor | float) -> Tensor:
    """[B, K, 3, H, W]: the Gaussians from the batch's cameras."""
    return draw_BK3HW(gaussians, views_of(batch), background_B)


def true_views(batch: RenderBatch, background_B: Tensor | float) -> Tensor:
    """[B, K, 3, H, W]: the batch's pictures over the same backgrounds."""
    rgba = batch.rgba_BK4HW
    B, K = rgba.shape[:2]
    brightness_BK = torch.as_tensor(background_B, device=rgba.device, dtype=rgba.dtype).expand(B)[:, None].expand(B, K)
    return over_background(rgba.flatten(0, 1), brightness_BK.flatten()).unflatten(0, (B, K))


def measured_pictures(decoded: Iterable[tuple[RenderBatch, Sequence[Gaussians]]]) -> dict[str, list[float]]:
    """PSNR in dB and SSIM by sample, averaged over its views, over white."""
    rows: dict[str, list[float]] = {"psnr": [], "ssim": []}
    for batch, gaussians in decoded:
        pictures, truths = draw_views(gaussians, batch, WHITE), true_views(batch, WHITE)
        flat = pictures.flatten(0, 1).clamp(0, 1), truths.flatten(0, 1)
        for name, value_P in (("psnr", psnr_B(*flat)), ("ssim", ssim_B(*flat))):
            rows[name] += [float(value) for value in value_P.unflatten(0, pictures.shape[:2]).mean(1)]
    return rows


def pictures_beside_truth(gaussians: Sequence[Gaussians], batch: RenderBatch, path: Path, views: int = 2) -> list[Path]:
    """One object a row: some of its views, each beside what was decoded."""
    pictures, truths = draw_views(gaussians, batch, WHITE), true_views(batch, WHITE)
    shown = min(views, pictures.shape[1])
    rows = [
        [image_picture(image[b, k]) for k in range(shown) for image in (truths, pictures)] for b in range(len(batch))
    ]
    table_of_pictures(("target", "decoded") * shown, rows).save(path)
    return [path]
