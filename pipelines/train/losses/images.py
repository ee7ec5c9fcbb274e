"""Differences between pictures: absolute difference, structural similarity, perceptual distance; and PSNR.

Shapes: B pictures, C channels, H W their size; values in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.train.losses.perceptual import PerceptualDistance

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5  # pixels
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2


@dataclass(frozen=True)
class ImageWeights:
    """Weights of the absolute difference, of 1 - SSIM, and of the perceptual distance."""

    absolute: float = 1.0
    ssim: float = 0.2
    perceptual: float = 0.2


@dataclass(frozen=True)
class ImageLoss:
    """The weighted sum of the three. distance: None leaves out the perceptual part and its term."""

    weights: ImageWeights
    distance: PerceptualDistance | None = None

    def __call__(self, prediction_BCHW: Tensor, target_BCHW: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss [B], and its unweighted parts [B] by name, of RGB pictures (C = 3)."""
        with torch.autocast(prediction_BCHW.device.type, enabled=False):  # variances need all digits
            terms = {
                "absolute": (prediction_BCHW - target_BCHW).abs().flatten(1).mean(1),
                "dissimilarity": 1 - ssim_B(prediction_BCHW, target_BCHW),
            }
        loss_B = self.weights.absolute * terms["absolute"] + self.weights.ssim * terms["dissimilarity"]
        if self.distance is not None and self.weights.perceptual:
            terms[self.distance.name] = self.distance(prediction_BCHW, target_BCHW)
            loss_B = loss_B + self.weights.perceptual * terms[self.distance.name]
        return loss_B, terms


def ssim_B(prediction_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """[B] mean structural similarity (Wang et al. 2004): Gaussian window of 11 pixels, zeros beyond the border.

    Always computed in float32, because variances are small differences of large numbers.
    """
    prediction_BCHW, target_BCHW = prediction_BCHW.float(), target_BCHW.float()
    window_11KK = _window(prediction_BCHW)
    channels = prediction_BCHW.shape[1]
    kernel = window_11KK.expand(channels, 1, -1, -1)

    def local_mean(image: Tensor) -> Tensor:
        with torch.autocast(image.device.type, enabled=False):
            return F.conv2d(image, kernel, padding=SSIM_WINDOW // 2, groups=channels)

    mean_p, mean_t = local_mean(prediction_BCHW), local_mean(target_BCHW)
    variance_p = local_mean(prediction_BCHW.square()) - mean_p.square()
    variance_t = local_mean(target_BCHW.square()) - mean_t.square()
    covariance = local_mean(prediction_BCHW * target_BCHW) - mean_p * mean_t
    luminance = (2 * mean_p * mean_t + SSIM_C1) / (mean_p.square() + mean_t.square() + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (variance_p + variance_t + SSIM_C2)
    return (luminance * structure).flatten(1).mean(1)


def psnr_B(prediction_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """[B] peak signal-to-noise ratio in dB; at most 100."""
    return -10 * (prediction_BCHW - target_BCHW).square().flatten(1).mean(1).clamp(min=1e-10).log10()


def _window(like: Tensor) -> Tensor:
    """[1, 1, K, K] Gaussian weights that sum to 1."""
    offset = torch.arange(SSIM_WINDOW, device=like.device, dtype=like.dtype) - SSIM_WINDOW // 2
    weight = (-0.5 * (offset / SSIM_SIGMA).square()).exp()
    weight = weight / weight.sum()
    return torch.outer(weight, weight)[None, None]
