"""The exponential moving average (EMA) of the weights, which validation and later stages use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


class Ema:
    """average <- d average + (1 - d) weight, with d = min(decay, (1 + step) / (10 + step)).

    The second bound lets a short run forget its initial weights; it reaches 0.9999 at step 89,990.

    averages: one tensor for each weight, of its shape, device and sharding.
    """

    def __init__(self, weights: Sequence[Tensor], decay: float) -> None:
        self._decay = decay
        self.averages = [weight.detach().clone() for weight in weights]

    @torch.no_grad()
    def update(self, weights: Sequence[Tensor], step: int) -> None:
        """After optimiser step `step` (from 0)."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.averages, list(weights), 1 - decay)

    @contextmanager
    def in_place_of(self, weights: Sequence[Tensor]) -> Iterator[None]:
        """A context in which the weights hold the averages; both are swapped back exactly at its end."""
        _swap(self.averages, weights)
        try:
            yield
        finally:
            _swap(self.averages, weights)


@torch.no_grad()
def _swap(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        kept = a.clone()
        a.copy_(b)
        b.copy_(kept)
