"""AdamW on plain tensors with gradient clipping; steps whose gradient is not finite are skipped.

`torch.optim.adamw.adamw` is used as a function: its fused kernel takes the scale of the gradient and the verdict "not
finite" as tensors, so that clipping and skipping need no copy of the gradient and do not wait for the device. It works
on this rank's parts of the weights, which are whole weights under DDP and shards under FSDP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim.adamw import adamw

_EPSILON = 1e-8


@dataclass(frozen=True)
class AdamWState:
    """First and second moments of the gradient.

    momentum, variance: one tensor for each weight, of its shape. updates: number of steps that were not skipped, one
    float32 scalar for each weight, as the fused kernel wants it.
    """

    momentum: list[Tensor]
    variance: list[Tensor]
    updates: list[Tensor]

    @classmethod
    def zeros(cls, weights: Sequence[Tensor]) -> AdamWState:
        return cls.restored([torch.zeros_like(w) for w in weights], [torch.zeros_like(w) for w in weights], 0.0)

    @classmethod
    def restored(cls, momentum: list[Tensor], variance: list[Tensor], updates: float) -> AdamWState:
        counts = [torch.full((), updates, dtype=torch.float32, device=m.device) for m in momentum]
        return cls(momentum, variance, counts)


@dataclass(frozen=True)
class AdamW:
    """The update rule. It holds no state; see AdamWState."""

    learning_rate: float
    betas: tuple[float, float]
    weight_decay: float
    warmup_steps: int

    def rate(self, step: int) -> float:
        """The learning rate of optimiser step `step` (from 0): linear growth, then constant."""
        return self.learning_rate * min(1.0, (step + 1) / (self.warmup_steps + 1))

    @torch.no_grad()
    def update(
        self,
        step: int,
        weights: list[Tensor],
        gradients: list[Tensor],
        state: AdamWState,
        scale: Tensor,
        finite: Tensor,
    ) -> None:
        """Update weights and state in place with `scale` times the gradients, or change neither if not `finite`.

        scale: float32 scalar; finite: bool scalar, both on the device. The gradients are scaled in place.
        """
        adamw(
            weights,
            gradients,
            state.momentum,
            state.variance,
            [],
            state.updates,
            fused=True,
            grad_scale=scale.reciprocal().float(),
            found_inf=(~finite).float(),
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=self.rate(step),
            weight_decay=self.weight_decay,
            eps=_EPSILON,
            maximize=False,
        )


class AdaptiveClip:
    """The largest norm that a gradient may have: `max_norm`, and later what is usual in this run.

    After `window` steps the limit is the smaller of `max_norm` and the `quantile` of the norms of the last `window`
    steps (published: norm 1, 95th percentile of the last 1000). quantile None: `max_norm` alone. The history stays on
    the device, so that clipping never waits for it.

    norms: float32 [window], a ring buffer of unclipped norms. count: int64 scalar, number of norms ever recorded;
    norms that are not finite are not recorded.
    """

    def __init__(self, max_norm: float, quantile: float | None, window: int, device: torch.device) -> None:
        self._max_norm, self._quantile, self._window = max_norm, quantile, window
        self.norms = torch.zeros(window, device=device)
        self.count = torch.zeros((), dtype=torch.int64, device=device)
        self._places = torch.arange(window, device=device)

    def limit(self) -> Tensor:
        """float32 scalar: the limit for the next gradient."""
        fixed = torch.full_like(self.norms[0], self._max_norm)
        if self._quantile is None:
            return fixed
        usual = torch.quantile(self.norms, self._quantile)
        return torch.where(self.count >= self._window, torch.minimum(usual, fixed), fixed)

    def record(self, norm: Tensor, finite: Tensor) -> None:
        """Add the norm of a gradient before clipping to the history, if `finite` (bool scalar)."""
        here = (self._places == self.count % self._window) & finite
        self.norms = torch.where(here, norm.to(self.norms.dtype), self.norms)
        self.count = self.count + finite
