"""How fast training goes, how much of the time it waits for data, and when its time is over."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from pipelines.train.optimisation.distributed import Ranks, StopAgreement
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


class TimeLimit:
    """Whether the seconds that a stage has, None for no end, are over; all ranks are told so after the same step."""

    def __init__(self, seconds: float | None, ranks: Ranks) -> None:
        self._agreement = None if seconds is None else StopAgreement(ranks)
        self._end = time.monotonic() + (seconds or 0.0)

    def is_over(self) -> bool:
        return self._agreement is not None and self._agreement.any_asked(time.monotonic() >= self._end)
