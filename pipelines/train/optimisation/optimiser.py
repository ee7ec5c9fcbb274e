"""AdamW on plain tensors, in one fused kernel that also scales the gradient and leaves out steps that are not finite.

`torch.optim.adamw.adamw` is used as a function: its fused kernels take the scale and the verdict as tensors, so that
clipping and skipping need no copy of the gradient and no wait for the device. Being given this rank's parts, it serves
shards and whole weights alike.
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
    """momentum, variance: like the weights. updates: steps that were not left out, one scalar for each weight."""

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
    """The rule; the state is apart."""

    learning_rate: float
    betas: tuple[float, float]
    weight_decay: float
    warmup_steps: int

    def rate(self, step: int) -> float:
        """Of optimiser step `step` (from 0): linear growth, then constant."""
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
        """Change weights and state in place by `scale` times the gradients, or nothing at all if not `finite`.

        scale: float32 scalar; finite: bool scalar. The gradients are changed.
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
