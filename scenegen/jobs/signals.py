"""The signals that ask a run to stop: SIGTERM (schedulers), SIGUSR1 (Slurm's warning), SIGINT (Ctrl-C)."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@contextmanager
def stop_on_signal(stop: threading.Event) -> Iterator[None]:
    """Within the block, a signal to stop sets `stop` and does nothing else; a second Ctrl-C interrupts at once.

    Enter it after `ray.init`, which takes SIGTERM for itself. The old handlers are restored at the end.
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
