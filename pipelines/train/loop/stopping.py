"""When a stage stops before its last step: a signal, or the end of its time; all ranks after the same step.

Signals to stop are SIGTERM (from schedulers), SIGUSR1 (Slurm's warning) and SIGINT (Ctrl-C).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
import torch.distributed as dist

from pipelines.train.optimisation.distributed import Ranks

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@contextmanager
def stop_on_signal(stop: threading.Event) -> Iterator[None]:
    """In this context, a signal to stop only sets `stop`; a second Ctrl-C raises KeyboardInterrupt at once.

    The former handlers are restored at the end.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StopAgreement:
    """Lets all ranks stop after the same step, though a signal reaches them at different times or only one of them.

    What is asked at one step is answered at the next, over a CPU group, so that neither the host nor the device waits.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._group = dist.new_group(backend="gloo") if ranks.world_size > 1 else None
        self._asked = torch.zeros(1, dtype=torch.int32)
        self._pending: dist.Work | None = None

    def any_asked(self, asked: bool) -> bool:
        """Whether any rank had been asked to stop at the previous call (for a single rank: at this call).

        asked: whether this rank has been asked to stop. Called by all ranks once a step.
        """
        if self._group is None:
            return asked
        if self._pending is not None:
            self._pending.wait()
            if self._asked.item():
                return True
        self._asked.fill_(asked)
        self._pending = dist.all_reduce(self._asked, group=self._group, async_op=True)
        return False


class TimeLimit:
    """Whether the time of a stage is over; all ranks learn it after the same step.

    seconds: from now on; None for no limit.
    """

    def __init__(self, seconds: float | None, ranks: Ranks) -> None:
        self._agreement = None if seconds is None else StopAgreement(ranks)
        self._end = time.monotonic() + (seconds or 0.0)

    def is_over(self) -> bool:
        """Called by all ranks once a step."""
        return self._agreement is not None and self._agreement.any_asked(time.monotonic() >= self._end)
