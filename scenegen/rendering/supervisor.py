"""Supervises the child process that makes scenes: time limits, crashes, memory. Runs inside a Ray task."""

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scenegen.contract.records import Scene
from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError
from scenegen.jobs.restarts import START_PAUSE_S, DiedAtStartError, End, RetryBudget, start_with_retries
from scenegen.scenes.worker_job import WorkerJob
from scenegen.shards.spool import SceneRecord, finished_scenes, write_scene

WORKER_COMMAND = (sys.executable, "-m", "scenegen.scenes.worker")
_START_LIMIT_S = 300.0
_LEAVE_LIMIT_S = 10.0
_LOG_LIMIT_S = 1.0  # for the last lines of a process that ended; what it started may keep the pipe open
_POLL_S = 0.25  # how soon a cancelled task notices
_LOG_LINES = 40
_CRASHES = 2  # after so many crashes of its own a scene is recorded as failed


@dataclass(frozen=True, slots=True)
class Limits:
    """When a child process is stopped or replaced.

    scene_timeout_s: time limit of one scene. recycle_scenes, recycle_rss_bytes: a process that has made so many scenes,
    or holds more memory, is replaced. start_pause_s: the pause before a process that died is started again.
    """

    scene_timeout_s: float
    recycle_scenes: int
    recycle_rss_bytes: int
    start_pause_s: float = START_PAUSE_S


class _ChildDiedError(Exception):
    """The child process ended without an answer."""

    def __init__(self, end: End) -> None:
        super().__init__(f"the renderer's process {end}")
        self.end = end


class _HangError(Exception):
    """The child process gave no answer in time."""


def make_scenes(
    job: WorkerJob, scenes: Iterable[int], limits: Limits, command: Sequence[str] = WORKER_COMMAND
) -> Iterator[dict[str, Any]]:
    """Make the scenes that the spool does not hold yet; yields one event a scene, {"event": "kept"} for those it holds.

    A scene that hangs is stopped and recorded as failed; one whose process dies is tried again, then recorded.
    Raises SceneGenError when no scene can succeed (full disk, missing device, a worker that does not start), and
    WorkerKilledError when processes are killed as they start: the scenes that are missing can be made later.
    """
    root = Root.open(job.location)
    child: _Child | None = None
    made_by_child = 0
    try:
        for scene in scenes:
            if scene in finished_scenes(root, job.shard):
                yield {"event": "kept", "scene": scene}
                continue
            child = child or _start(job, command, limits)
            event, child = _make(root, job, child, scene, limits, command)
            yield event
            made_by_child = made_by_child + 1 if child else 0
            if child and (
                made_by_child >= limits.recycle_scenes or event.get("rss_bytes", 0) > limits.recycle_rss_bytes
            ):
                child.leave()
                child, made_by_child = None, 0
        if child:
            child.leave()
            child = None
    finally:
        if child:
            child.kill()


def _make(
    root: Root, job: WorkerJob, child: "_Child", scene: int, limits: Limits, command: Sequence[str]
) -> "tuple[dict[str, Any], _Child | None]":
    """(the event of the scene, the child for the next scene; None if it is gone)."""
    started = time.monotonic()
    retries = RetryBudget(_CRASHES, limits.start_pause_s)
    while True:
        try:
            return child.ask(scene, limits.scene_timeout_s), child
        except _HangError:
            child.kill()
            reason = f"timeout: not finished after {limits.scene_timeout_s:g} s"
            break
        except _ChildDiedError as error:
            child.kill()
            reason = f"crash: {error}"
            if not retries.allows_another_try(error.end):
                if error.end.from_outside:
                    reason += " at every try; its memory may be too small (fewer --workers leave each more)"
                break
            child = _start(job, command, limits)
    record = SceneRecord(seconds=time.monotonic() - started)
    try:
        write_scene(root, job.meta, job.shard, Scene(scene, status="failed", failure=reason), (), record)
    except OSError as error:
        raise SceneGenError(
            f"cannot write to {job.location}: {error}; make room or mend the access, then run again"
        ) from error
    return {
        "event": "failed",
        "scene": scene,
        "reason": reason,
        "seconds": record.seconds,
        "log": child.log_tail(),
    }, None


def _start(job: WorkerJob, command: Sequence[str], limits: Limits) -> "_Child":
    """A child that is ready. Raises like `start_with_retries`; SceneGenError for what is wrong with every scene."""

    def start() -> _Child:
        child = _Child(job, command)
        try:
            child.wait_until_ready(max(_START_LIMIT_S, limits.scene_timeout_s))
        except BaseException:
            child.kill()
            raise
        return child

    return start_with_retries(start, limits.start_pause_s)


class _Child:
    """One child process with its own scratch folder."""

    def __init__(self, job: WorkerJob, command: Sequence[str]) -> None:
        self._scratch = tempfile.mkdtemp(prefix="scenegen-worker-")
        threads = str(job.threads)
        own = {"TMPDIR": self._scratch, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, **own},
            start_new_session=True,  # Ctrl-C in the terminal is for the driver; we decide what ends when
        )
        self._killed = False
        self._answers: queue.Queue[str] = queue.Queue()
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        threading.Thread(target=self._read_answers, daemon=True).start()
        self._log_reader = threading.Thread(target=self._read_log, daemon=True)
        self._log_reader.start()
        self._send(job.to_json())

    def wait_until_ready(self, limit_s: float) -> None:
        """Raises DiedAtStartError; SceneGenError for what is wrong with every scene."""
        try:
            self._receive(limit_s)
        except _HangError:
            raise DiedAtStartError(End(None), self.log_tail()) from None
        except _ChildDiedError as error:
            raise DiedAtStartError(error.end, self.log_tail()) from None

    def ask(self, scene: int, limit_s: float) -> dict[str, Any]:
        """Have one scene made. Raises _HangError, _ChildDiedError; SceneGenError for what is wrong with every scene."""
        self._send(json.dumps({"scene": scene}))
        return self._receive(limit_s)

    def leave(self) -> None:
        """Let the process end by itself, and kill it if it does not."""
        try:
            self._process.stdin.close()  # type: ignore[union-attr]
            self._process.wait(_LEAVE_LIMIT_S)
        except (subprocess.TimeoutExpired, OSError):
            pass
        self.kill()

    def kill(self) -> None:
        """End the process and everything that it started, and remove its scratch folder."""
        if self._killed:  # its process id may belong to another process by now
            return
        self._killed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def log_tail(self) -> str:
        """The last lines that the process printed."""
        if self._process.poll() is not None:
            self._log_reader.join(_LOG_LIMIT_S)
        return "".join(self._log)

    def _send(self, line: str) -> None:
        with contextlib.suppress(OSError):  # it died; _receive says so
            self._process.stdin.write(line + "\n")  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]

    def _receive(self, limit_s: float) -> dict[str, Any]:
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            try:
                line = self._answers.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if not line:
                raise _ChildDiedError(End(self._process.wait()))
            event = json.loads(line)
            if event["event"] == "fatal":
                raise SceneGenError(event["message"])
            return event
        raise _HangError

    def _read_answers(self) -> None:
        for line in self._process.stdout:  # type: ignore[union-attr]
            self._answers.put(line)
        self._answers.put("")

    def _read_log(self) -> None:
        for line in self._process.stderr:  # type: ignore[union-attr]
            self._log.append(line)
