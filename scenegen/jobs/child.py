"""A child process that answers calls and can be killed: for code that may hang, crash or use up the memory.

The child imports `module:function` and answers one request after the other over pipes of its own, so that whatever it
prints to standard output does no harm. It dies with its parent. An answer is one value, or the items of an iterator.
"""

import contextlib
import ctypes
import importlib
import os
import pickle
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scenegen.jobs.restarts import START_PAUSE_S, DiedAtStartError, End, RetryBudget, start_with_retries

LENGTH = struct.Struct("<Q")
PR_SET_PDEATHSIG = 1
_ITEM, _LAST, _ERROR = range(3)
_START_LIMIT_S = 300.0
_LOG_LINES = 40


class ChildTimeoutError(Exception):
    """The call took longer than it may, and the child was killed."""


class ChildDiedError(Exception):
    """The child ended in the middle of a call; the message says how."""

    def __init__(self, end: End) -> None:
        name = signal.Signals(-end.code).name if end.code is not None and end.by_signal else ""
        super().__init__(f"crashed ({name})" if name else f"ended with exit code {end.code}")
        self.end = end


class KillableChild:
    """Calls `module:function(*args)` in a process of its own, started when needed and again after a kill.

    memory_bytes: limit of the child's data segment; 0 means none. calls_per_process: after so many calls the process is
    replaced, because Blender leaks memory. pause_s: wait before a call whose process was killed is made again.
    A call or stream also raises what `start_with_retries` does, if the process does not start.
    """

    def __init__(
        self, target: str, memory_bytes: int = 0, calls_per_process: int = 200, pause_s: float = START_PAUSE_S
    ) -> None:
        self._target, self._memory, self._calls_per_process = target, memory_bytes, calls_per_process
        self._pause_s = pause_s
        self._process: subprocess.Popen | None = None
        self._to_child = self._from_child = -1
        self._scratch = ""
        self._calls = 0

    def call(self, timeout_s: float, *args: Any) -> Any:
        """A call whose process is killed from outside is made again.

        Raises what the function raises, ChildTimeoutError, or ChildDiedError.
        """
        budget = RetryBudget(crashes=1, pause_s=self._pause_s)
        while True:
            try:
                self._ask(args)
                return self._answer(timeout_s)[1]
            except ChildDiedError as error:
                if not budget.allows_another_try(error.end):
                    raise

    def stream(self, timeout_s: float, *args: Any) -> Iterator[Any]:
        """The items of the iterator that the function returns, each within the time limit. Raises like `call`."""
        self._ask(args)
        abandoned = False
        try:
            while True:
                ended, item = self._answer(timeout_s)
                if ended:
                    return
                abandoned = True
                yield item
                abandoned = False
        finally:
            if abandoned:
                self.close()  # the rest of this answer must not be taken for the answer to the next call

    def _ask(self, args: tuple[Any, ...]) -> None:
        if self._process is None or self._calls >= self._calls_per_process:
            self.close()
            start_with_retries(self._start, self._pause_s)
        self._calls += 1
        try:
            _send(self._to_child, pickle.dumps(args))
        except BrokenPipeError:
            raise ChildDiedError(self._end()) from None

    def _answer(self, timeout_s: float) -> tuple[bool, Any]:
        """(whether it is the last of this call, the value)."""
        try:
            kind, value = pickle.loads(_receive(self._from_child, time.monotonic() + timeout_s))
        except TimeoutError:
            self.close()
            raise ChildTimeoutError(f"took longer than {timeout_s:g} s") from None
        except EOFError:
            raise ChildDiedError(self._end()) from None
        if kind == _ERROR:
            raise value
        return kind == _LAST, value

    def close(self) -> None:
        """Kill the child and everything that it started, and remove its scratch folder."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._to_child)
        os.close(self._from_child)
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._process, self._calls = None, 0

    def _start(self) -> None:
        """Returns when the child has imported what it serves. Raises DiedAtStartError."""
        request_read, self._to_child = os.pipe()
        self._from_child, answer_write = os.pipe()
        self._scratch = tempfile.mkdtemp(prefix="scenegen-child-")
        log = Path(self._scratch) / "stderr"
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, self._target, str(request_read), str(answer_write), str(self._memory)],
                pass_fds=(request_read, answer_write),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env={**os.environ, "TMPDIR": self._scratch},
                start_new_session=True,
            )
        os.close(request_read)
        os.close(answer_write)
        try:
            _receive(self._from_child, time.monotonic() + _START_LIMIT_S)
        except (TimeoutError, EOFError) as error:
            lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
            end = self._end() if isinstance(error, EOFError) else End(None)
            self.close()
            raise DiedAtStartError(end, "\n".join(lines)) from None

    def _end(self) -> End:
        assert self._process is not None
        end = End(self._process.wait())
        self.close()
        return end


def _send(descriptor: int, data: bytes) -> None:
    view = memoryview(LENGTH.pack(len(data)) + data)
    while view:
        view = view[os.write(descriptor, view) :]


def _receive(descriptor: int, deadline: float | None = None) -> bytes:
    (length,) = LENGTH.unpack(_read(descriptor, LENGTH.size, deadline))
    return _read(descriptor, length, deadline)


def _read(descriptor: int, count: int, deadline: float | None) -> bytes:
    parts = []
    while count:
        if deadline is not None and not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        part = os.read(descriptor, min(count, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _serve(target: str, requests: int, answers: int, memory_bytes: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    module, name = target.split(":")
    function = getattr(importlib.import_module(module), name)
    _send(answers, b"ready")
    while True:
        try:
            args = pickle.loads(_receive(requests))
        except EOFError:
            os._exit(0)  # bpy may hang in a regular exit
        try:
            value = function(*args)
            if isinstance(value, Iterator):
                for item in value:
                    _send(answers, pickle.dumps((_ITEM, item)))
                value = None
            answer = (_LAST, value)
        except Exception as error:  # noqa: BLE001 - every error is sent to the caller
            answer = (_ERROR, error if _pickles(error) else RuntimeError(traceback.format_exc(limit=3)))
        _send(answers, pickle.dumps(answer))


def _pickles(error: Exception) -> bool:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - any failure means that it does not
        return False
    return True


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
