"""How patiently a child process that dies is started again, and what its end says of whom to blame.

A start that fails is tried again, because workers are replaced for weeks and a machine short of memory kills them just
then. An end by SIGKILL or SIGTERM comes from outside: the system, a scheduler, a person; never from the set-up.
"""

import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from scenegen.errors import SceneGenError

START_PAUSE_S = 10.0  # before the second start; five times as long before the third
_STARTS = 3
_HURRY = 0.1  # share of the pause after an end of its own doing: most often a fault that a person waits to hear of
_KILLED_TRIES = 5  # of one piece of work whose process is killed from outside while it works
_POLL_S = 0.25  # how soon a cancelled task notices

ProcessT = TypeVar("ProcessT")


class DoesNotStartError(SceneGenError):
    """A process ends by itself whenever it starts, each time the same way: no other start will help."""


class WorkerKilledError(SceneGenError):
    """Processes die here as they start, for no fault of the set-up or of the work, which is to be tried elsewhere."""


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended. code: as `subprocess` gives it; None if it was not ready in time."""

    code: int | None

    @property
    def by_signal(self) -> bool:
        return self.code is not None and self.code < 0

    @property
    def from_outside(self) -> bool:
        """Whether somebody ended it, as the system does when memory runs out."""
        return self.code in (-signal.SIGKILL, -signal.SIGTERM)

    def __str__(self) -> str:
        if self.code is None:
            return "was not ready in time"
        return f"was ended by {signal.Signals(-self.code).name}" if self.code < 0 else f"ended with code {self.code}"


class DiedAtStartError(Exception):
    """One start failed. log: the last lines that the process printed."""

    def __init__(self, end: End, log: str) -> None:
        super().__init__(str(end))
        self.end, self.log = end, log


def start_with_retries(start: Callable[[], ProcessT], pause_s: float = START_PAUSE_S) -> ProcessT:
    """The process that `start` gives, at the third try at the latest; `start` raises DiedAtStartError.

    Raises DoesNotStartError if the process ends by itself, each time the same way.
    Raises WorkerKilledError if a signal ended it, or if it ended in different ways.
    """
    deaths: list[DiedAtStartError] = []
    for wait_s in (0.0, pause_s, 5 * pause_s)[:_STARTS]:
        nap(wait_s if not deaths or deaths[-1].end.by_signal else _HURRY * wait_s)
        try:
            return start()
        except DiedAtStartError as error:
            deaths.append(error)
    last = deaths[-1]
    if len({death.end for death in deaths}) == 1 and not last.end.by_signal:
        raise DoesNotStartError(
            f"the worker does not start: its process {last.end}, {_STARTS} times in a row. Its last lines:\n{last.log}"
        )
    ends = ", then ".join(dict.fromkeys(str(death.end) for death in deaths))
    raise WorkerKilledError(
        f"a worker's process on {socket.gethostname()} {ends} while it started ({_STARTS} starts)"
        + (f"; its last line: {last.log.splitlines()[-1]}" if last.log.strip() else "")
    )


class RetryBudget:
    """Whether a piece of work whose process died is tried again: often if it was killed from outside, else rarely."""

    def __init__(self, crashes: int, pause_s: float = START_PAUSE_S) -> None:
        """crashes: how many ends of its own doing are the last one. pause_s: after a kill."""
        self._crashes, self._kills, self._pause_s = crashes, _KILLED_TRIES, pause_s

    def allows_another_try(self, end: End) -> bool:
        """Count this end; waits before it says yes after a kill, for what killed the process may pass."""
        if not end.from_outside:
            self._crashes -= 1
            return self._crashes > 0
        self._kills -= 1
        if self._kills > 0:
            nap(self._pause_s)
        return self._kills > 0


def nap(seconds: float) -> None:
    """Sleep in short pieces: an interrupt that Ray raises in a thread is seen between them."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _POLL_S))
