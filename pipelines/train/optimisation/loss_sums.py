"""What is logged of a step: sums over its samples in one vector, so that ranks add up and the host fetches once.

Shapes: B samples of a micro-batch, K named losses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pipelines.train.stage import Losses

NUM_TIME_BINS = 10


def loss_names(losses: Losses) -> tuple[str, ...]:
    """Names of the K sums: the loss and its terms."""
    return ("loss", *sorted(losses.terms))


@torch.no_grad()
def weighted_sums(losses: Losses) -> Tensor:
    """float64 [1 + K + 20]: sum of weights, weighted sums of loss and terms; those of loss and weight by bin of t."""
    weight = losses.weight_B.detach().double()
    values = [losses.loss_B, *(losses.terms[name] for name in sorted(losses.terms))]
    parts = [weight.sum()[None], torch.stack([value.detach().double() @ weight for value in values])]
    bins = weight.new_zeros(2, NUM_TIME_BINS)
    if losses.time_B is not None:
        edges = torch.arange(NUM_TIME_BINS, device=weight.device)
        of_sample = (losses.time_B * NUM_TIME_BINS).long().clamp(0, NUM_TIME_BINS - 1)
        one_hot = (of_sample[:, None] == edges).double()  # a product adds in one order; scattering would not on CUDA
        bins = torch.stack([losses.loss_B.detach().double() * weight, weight]) @ one_hot
    return torch.cat([*parts, bins.flatten()])


def means(names: Sequence[str], sums: Tensor) -> dict[str, float]:
    """What `weighted_sums` of any number of samples mean: `loss`, terms, and `loss_t0.1` for t in [0.1, 0.2)."""
    weight, *values = sums[: 1 + len(names)].tolist()
    found = {name: value / weight for name, value in zip(names, values, strict=True)} if weight else {}
    in_bin, weight_of_bin = sums[1 + len(names) :].view(2, NUM_TIME_BINS).tolist()
    for index, (total, bin_weight) in enumerate(zip(in_bin, weight_of_bin, strict=True)):
        if bin_weight and math.isfinite(total):
            found[f"loss_t{index / NUM_TIME_BINS:.1f}"] = total / bin_weight
    return found
