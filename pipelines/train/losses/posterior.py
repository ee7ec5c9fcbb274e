"""The Gaussian posterior of a variational autoencoder: its KL divergence, and samples of it.

Shapes: B samples, ... the shape of a latent.
"""

from __future__ import annotations

import torch
from torch import Tensor


def kl_divergence_B(mean: Tensor, log_variance: Tensor) -> Tensor:
    """[B]: KL divergence of N(mean, exp(log_variance)) from N(0, 1), averaged over the values of the latent [B, ...].

    For sparse latents [N, C], one value for each of the N voxels.
    """
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).flatten(1).mean(1)


def posterior_sample(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """A latent drawn from the posterior. noise: standard normal, of the shape of the latent, like all arguments."""
    return mean + torch.exp(0.5 * log_variance) * noise
