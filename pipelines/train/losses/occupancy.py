"""Losses of occupancy grids and of a Gaussian posterior, per sample.

Shapes: B samples, R grid edge, ... the shape of a latent.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def dice_B(logits_B1RRR: Tensor, target_B1RRR: Tensor) -> Tensor:
    """1 - 2 |p y| / (|p| + |y|), smoothed by one voxel: indifferent to how few voxels are occupied."""
    p, y = logits_B1RRR.float().sigmoid().flatten(1), target_B1RRR.flatten(1)
    return 1 - (2 * (p * y).sum(1) + 1) / (p.sum(1) + y.sum(1) + 1)


def cross_entropy_B(logits_B1RRR: Tensor, target_B1RRR: Tensor) -> Tensor:
    """Mean binary cross-entropy over the voxels."""
    return F.binary_cross_entropy_with_logits(logits_B1RRR.float(), target_B1RRR, reduction="none").flatten(1).mean(1)


def divergence_B(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of N(mean, exp(log_variance)) from N(0, 1), averaged over the latent's values."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).flatten(1).mean(1)


def posterior_sample(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """noise: standard normal, in the shape of the latent."""
    return mean + torch.exp(0.5 * log_variance) * noise
