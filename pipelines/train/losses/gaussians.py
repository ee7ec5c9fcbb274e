"""The loss of decoded Gaussians: their pictures against those of the object, and regularisers.

Shapes: B samples, K views, H W their size.
Source: TRELLIS's decoder training, which 3D-Fixer keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.gaussian_decoder import GaussianConfig, Gaussians
from pipelines.train.losses.images import ImageLoss


@dataclass(frozen=True)
class GaussianWeights:
    """Weights of the regularisers.

    volume: of the mean product of the three scales, relative to the initial scale of the official size. (Fewer
    Gaussians per voxel start larger; without this, the term would shrink them until holes open between them.)
    opacity: of the mean squared difference from 1.
    """

    volume: float = 1e4
    opacity: float = 1e-3


@dataclass(frozen=True)
class GaussianLoss:
    """The image loss over all views, and regularisers that keep Gaussians small and opaque."""

    image: ImageLoss
    weights: GaussianWeights

    def __call__(
        self, gaussians: Sequence[Gaussians], pictures_BK3HW: Tensor, targets_BK3HW: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss [B], and its unweighted parts [B] by name. gaussians: by sample."""
        B, K = pictures_BK3HW.shape[:2]
        image_BK, parts = self.image(pictures_BK3HW.flatten(0, 1), targets_BK3HW.flatten(0, 1))
        terms = {name: value.view(B, K).mean(1) for name, value in parts.items()}
        terms["volume"] = torch.stack([_volume(g) for g in gaussians])
        terms["opacity"] = torch.stack([(g.opacity_G1 - 1).square().mean() for g in gaussians])
        loss_B = image_BK.view(B, K).mean(1)
        return loss_B + self.weights.volume * terms["volume"] + self.weights.opacity * terms["opacity"], terms


def _volume(gaussians: Gaussians) -> Tensor:
    to_official = GaussianConfig.scaling_bias / gaussians.config.scaling_bias
    return (to_official * gaussians.scaling_G3).prod(1).mean()
