"""Fetches what steps report without waiting for the device."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.train.optimisation.learner import StepReport
from pipelines.train.optimisation.loss_sums import means


@dataclass(frozen=True)
class StepMetrics:
    """Of one step, for the log. step: steps done with it. losses: means over its samples, see sums.py.

    skipped_in_a_row: 0 for a step that counted.
    """

    step: int
    losses: dict[str, float]
    gradient_norm: float
    clip_limit: float
    skipped_in_a_row: int


class ReportQueue:
    """Copies go to pinned memory behind the work that they describe; `take` gives those that have arrived."""

    def __init__(self, device: torch.device) -> None:
        self._on_cuda = device.type == "cuda"
        self._waiting: deque[tuple[StepReport, Tensor, torch.cuda.Event | None]] = deque()

    def put(self, report: StepReport) -> None:
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
        """In the order of the steps; with `wait`, all of them."""
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
