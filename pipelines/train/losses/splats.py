"""Decoded Gaussians against pictures of the object.

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
    """volume: of the mean product of the three scales, as if they started at the official size: fewer Gaussians a voxel
    start larger, and unscaled the product would shrink them into holes. opacity: of the mean squared distance from 1.
    """

    volume: float = 1e4
    opacity: float = 1e-3


@dataclass(frozen=True)
class GaussianLoss:
    """The image loss over all views, and what keeps Gaussians small and opaque."""

    image: ImageLoss
    weights: GaussianWeights

    def __call__(
        self, gaussians: Sequence[Gaussians], pictures_BK3HW: Tensor, targets_BK3HW: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """[B], and its parts [B] unweighted by name."""
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
