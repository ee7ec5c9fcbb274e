"""The metrics of a step: summed on the device, added up over ranks, and fetched without waiting.

A step's losses are one vector of sums, so that ranks add them up with one operation and the host copies them once.

Shapes: B samples of a micro-batch, K named losses.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.train.interfaces.stage import Losses

NUM_TIME_BINS = 10


@dataclass(frozen=True)
class StepReport:
    """Of one step, on the device, the same on all ranks.

    step: steps before it. names: of the losses in `sums`. sums: as `weighted_sums`, of the global batch.
    gradient: float32 [3]: norm of the mean gradient; limit that it was clipped to; number of steps in a row, this one
    included, that were skipped because loss or gradient was not finite.
    """

    step: int
    names: tuple[str, ...]
    sums: Tensor
    gradient: Tensor


@dataclass(frozen=True)
class StepMetrics:
    """Of one step, for the log.

    step: steps done, including this one. losses: means over its samples, see `means`.
    skipped_in_a_row: as in StepReport; 0 for a step that was not skipped.
    """

    step: int
    losses: dict[str, float]
    gradient_norm: float
    clip_limit: float
    skipped_in_a_row: int


class ReportQueue:
    """Step reports on their way to the host. On CUDA they are copied to pinned memory behind the work they describe."""

    def __init__(self, device: torch.device) -> None:
        self._on_cuda = device.type == "cuda"
        self._waiting: deque[tuple[StepReport, Tensor, torch.cuda.Event | None]] = deque()

    def put(self, report: StepReport) -> None:
        """Start copying a report; returns at once."""
        values = torch.cat([report.gradient.double(), report.sums])
        if not self._on_cuda:
            self._waiting.append((report, values, None))
            return
        copy = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        copy.copy_(values, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._waiting.append((report, copy, event))

    def take(self, wait: bool = False) -> list[StepMetrics]:
        """The metrics that have arrived, in the order of the steps; with `wait`, those of all steps put in."""
        taken = []
        while self._waiting:
            report, values, event = self._waiting[0]
            if event is not None and not event.query():
                if not wait:
                    break
                event.synchronize()
            self._waiting.popleft()
            norm, limit, skipped = values[:3].tolist()
            losses = means(report.names, values[3:])
            taken.append(StepMetrics(report.step + 1, losses, norm, limit, int(skipped)))
        return taken


def loss_names(losses: Losses) -> tuple[str, ...]:
    """Names of the K sums: the loss and its terms."""
    return ("loss", *sorted(losses.terms))


@torch.no_grad()
def weighted_sums(losses: Losses) -> Tensor:
    """float64 [1 + K + 2 NUM_TIME_BINS]: sum of weights; weighted sums of the loss and its terms; by bin of t the
    weighted sum of the loss, then the sum of weights."""
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
    """Weighted means from `weighted_sums` added up over any number of samples.

    The loss, its terms, and by bin of t the loss: "loss_t0.1" for t in [0.1, 0.2). Bins without samples are left out.
    """
    weight, *values = sums[: 1 + len(names)].tolist()
    found = {name: value / weight for name, value in zip(names, values, strict=True)} if weight else {}
    in_bin, weight_of_bin = sums[1 + len(names) :].view(2, NUM_TIME_BINS).tolist()
    for index, (total, bin_weight) in enumerate(zip(in_bin, weight_of_bin, strict=True)):
        if bin_weight and math.isfinite(total):
            found[f"loss_t{index / NUM_TIME_BINS:.1f}"] = total / bin_weight
    return found
