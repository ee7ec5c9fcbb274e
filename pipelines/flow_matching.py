"""Rectified-flow targets.

Shapes: B batch, ... any latent shape; t in [0, 1], 0 = data, 1 = noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class FlowPath:
    """The straight path x_t = (1 - t) x_0 + (sigma_min + (1 - sigma_min) t) noise, its velocity, and its times.

    t_mean, t_std: t = sigmoid(N(t_mean, t_std)) in training; mean 1 favours noisy times.
    """

    sigma_min: float = 1e-5
    t_mean: float = 1.0
    t_std: float = 1.0

    def interpolate(self, x_0: Tensor, noise: Tensor, t_B: Tensor) -> Tensor:
        t = _like(t_B, x_0)
        return (1 - t) * x_0 + (self.sigma_min + (1 - self.sigma_min) * t) * noise

    def velocity(self, x_0: Tensor, noise: Tensor) -> Tensor:
        """The training target, d x_t / d t."""
        return (1 - self.sigma_min) * noise - x_0

    def data(self, x_t: Tensor, velocity: Tensor, t_B: Tensor | float) -> Tensor:
        """The x_0 that a point of the path and its velocity imply."""
        t = _like(t_B, x_t) if isinstance(t_B, Tensor) else t_B
        return (1 - self.sigma_min) * x_t - (self.sigma_min + (1 - self.sigma_min) * t) * velocity

    def times(self, normal_B: Tensor) -> Tensor:
        """Logit-normal times from standard normal draws."""
        return torch.sigmoid(normal_B * self.t_std + self.t_mean)


def _like(t_B: Tensor, x: Tensor) -> Tensor:
    """[B] -> broadcastable to x; for sparse features repeat t per row first."""
    return t_B.view(-1, *(1,) * (x.ndim - 1))
