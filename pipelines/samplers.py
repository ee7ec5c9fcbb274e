"""Euler sampling of a rectified flow with classifier-free guidance on an interval of times.

Shapes: x any latent shape (for sparse latents the feature rows), B batch items.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from pipelines.errors import UsageError
from pipelines.flow_matching import FlowPath

TIME_SCALE = 1000.0  # the networks embed 1000 t
Velocity = Callable[[Tensor, Tensor], Tensor]
VelocityPair = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class SamplerConfig:
    """rescale_t > 1 spends more of the steps at noisy times. guidance 0 is none.

    guidance_interval: times (inclusive) at which the velocity is (1 + guidance) v - guidance v_negative.
    noise_scale: of the noise that sampling starts from. Officially 1; towards 0, samples come nearer to the mean of all
        solutions, and contain less of a small network's error in removing the noise.
    Raises UsageError for values that cannot be sampled with.
    """

    steps: int = 25
    rescale_t: float = 3.0
    guidance: float = 5.0
    guidance_interval: tuple[float, float] = (0.5, 1.0)
    sigma_min: float = 1e-5
    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        low, high = self.guidance_interval
        if self.steps < 1:
            raise UsageError(f"a sampler takes at least one step, not {self.steps}")
        if not 0 < self.rescale_t < math.inf:
            raise UsageError(f"times are rescaled by a positive number (officially 3), not {self.rescale_t:g}")
        if not 0 <= self.noise_scale < math.inf:
            raise UsageError(f"the noise is scaled by 0 or more (officially 1), not by {self.noise_scale:g}")
        if not math.isfinite(self.guidance) or not low <= high:
            raise UsageError(f"guidance of {self.guidance:g} from time {low:g} to {high:g} makes no sense")

    def times(self) -> np.ndarray:
        """[steps + 1] float64 from 1 to 0: r s / (1 + (r - 1) s) for s equally spaced."""
        s = np.linspace(1.0, 0.0, self.steps + 1)
        return self.rescale_t * s / (1 + (self.rescale_t - 1) * s)

    def is_guided(self, t: float) -> bool:
        low, high = self.guidance_interval
        return self.guidance != 0 and low <= t <= high


@dataclass(frozen=True)
class SampleStep:
    """x_t after the step, and the x_0 that was predicted at its beginning."""

    x_t: Tensor
    x_0: Tensor


def euler_steps(
    velocity: Velocity,
    noise: Tensor,
    batch_size: int,
    config: SamplerConfig,
    negative: Velocity | None = None,
    pair: VelocityPair | None = None,
) -> Iterator[SampleStep]:
    """Integrate from noise to data, one step at a time.

    velocity, negative: functions of (x, 1000 t as [B]) with and without the condition; the second is called only
        at guided times. pair: both in one pass, called instead of the two at guided times.
    """
    if config.guidance and negative is None and pair is None:
        raise ValueError("guidance needs the velocity without condition; pass negative= or pair=, or set guidance to 0")
    path = FlowPath(config.sigma_min)
    times = config.times().tolist()
    x = config.noise_scale * noise
    for t, t_next in pairwise(times):
        t_B = torch.full((batch_size,), TIME_SCALE * t, dtype=torch.float32, device=x.device)
        if not config.is_guided(t):
            v = velocity(x, t_B)
        else:
            v, v_negative = pair(x, t_B) if pair is not None else _both(velocity, negative, x, t_B)
            v = (1 + config.guidance) * v - config.guidance * v_negative
        x_0 = path.data(x, v, t)
        x = x - (t - t_next) * v
        yield SampleStep(x, x_0)


def _both(velocity: Velocity, negative: Velocity | None, x: Tensor, t_B: Tensor) -> tuple[Tensor, Tensor]:
    assert negative is not None  # checked before the first step
    return velocity(x, t_B), negative(x, t_B)


@torch.no_grad()
def sample_euler(
    velocity: Velocity,
    noise: Tensor,
    batch_size: int,
    config: SamplerConfig,
    negative: Velocity | None = None,
    pair: VelocityPair | None = None,
) -> Tensor:
    """The final sample of `euler_steps`."""
    x = noise
    for step in euler_steps(velocity, noise, batch_size, config, negative, pair):
        x = step.x_t
    return x
