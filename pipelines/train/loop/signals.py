"""Being asked to stop: SIGTERM (schedulers), SIGUSR1 (Slurm's warning), SIGINT (Ctrl-C)."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@contextmanager
def stop_on_signal(stop: threading.Event) -> Iterator[None]:
    """While inside, a signal to stop sets `stop` and nothing else; a second Ctrl-C interrupts at once.

    The old handlers are put back at the end.
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
