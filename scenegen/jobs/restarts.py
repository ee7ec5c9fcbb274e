"""How often a child process that dies is started again, and what the way it ended says about the cause.

A start that fails is tried again: a run replaces workers for weeks, and a machine that is short of memory kills them
most easily while they start. An end by SIGKILL or SIGTERM comes from outside (the system, a scheduler, a person), never
from a fault of the set-up.
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
# Of the pause, where the process ended by itself: that is most often a fault which a person waits to hear of.
_SHARE_OF_PAUSE = 0.1
_KILLED_TRIES = 5  # of one piece of work whose process is killed from outside while it works
_POLL_S = 0.25  # how soon a cancelled task notices

ProcessT = TypeVar("ProcessT")


class DoesNotStartError(SceneGenError):
    """A process ends by itself whenever it is started, each time in the same way: another start will not help."""


class WorkerKilledError(SceneGenError):
    """Processes are killed here while they start, which is no fault of set-up or work: try the work elsewhere."""


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
    """Call `start`, which raises DiedAtStartError if it fails, up to three times; return the process that it gives.

    Raises DoesNotStartError if the process ends by itself, each time the same way.
    Raises WorkerKilledError if a signal ended it, or if it ended in different ways.
    """
    deaths: list[DiedAtStartError] = []
    for wait_s in (0.0, pause_s, 5 * pause_s)[:_STARTS]:
        sleep_in_steps(wait_s if not deaths or deaths[-1].end.by_signal else _SHARE_OF_PAUSE * wait_s)
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
    """How often one piece of work is tried again when its process dies: more often if it was killed from outside."""

    def __init__(self, crashes: int, pause_s: float = START_PAUSE_S) -> None:
        """crashes: give up at this many ends that came from the process itself. pause_s: wait after a kill."""
        self._crashes, self._kills, self._pause_s = crashes, _KILLED_TRIES, pause_s

    def allows_another_try(self, end: End) -> bool:
        """Count this end. After a kill it waits before it returns True, because what killed the process may pass."""
        if not end.from_outside:
            self._crashes -= 1
            return self._crashes > 0
        self._kills -= 1
        if self._kills > 0:
            sleep_in_steps(self._pause_s)
        return self._kills > 0


def sleep_in_steps(seconds: float) -> None:
    """Sleep in short steps, so that an interrupt that Ray raises in a thread is noticed between them."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _POLL_S))
