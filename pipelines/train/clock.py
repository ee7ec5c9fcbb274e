"""How fast training goes, and how much of the time it waits for data."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from pipelines.train.stage import Batch


class Clock:
    """Time of a run of steps, and how much of it was spent waiting for data."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self._since, self._waited_s = time.monotonic(), 0.0

    def waiting_for(self, batches: Iterator[Sequence[Batch]]) -> Sequence[Batch]:
        before = time.monotonic()
        micro_batches = next(batches)
        self._waited_s += time.monotonic() - before
        return micro_batches

    def rates(self, steps: int, batch_size: int) -> dict[str, float]:
        elapsed = max(time.monotonic() - self._since, 1e-9)
        rates = {"samples_per_s": steps * batch_size / elapsed, "data_wait": self._waited_s / elapsed}
        self.restart()
        return rates
