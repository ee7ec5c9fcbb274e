"""Watches over the child process that makes scenes: time limits, crashes, memory. Runs inside a Ray task."""

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
from scenegen.jobs.scene_job import WorkerJob
from scenegen.shards.spool import SceneRecord, finished_scenes, write_scene

WORKER_COMMAND = (sys.executable, "-m", "scenegen.jobs.scene_worker")
_START_LIMIT_S = 300.0
_LEAVE_LIMIT_S = 10.0
_POLL_S = 0.25  # how soon a cancelled task notices
_LOG_LINES = 40


@dataclass(frozen=True, slots=True)
class Limits:
    """When a child process is stopped or replaced."""

    scene_timeout_s: float
    recycle_scenes: int
    recycle_rss_bytes: int


class _ChildDiedError(Exception):
    """The child process ended without an answer."""


class _HangError(Exception):
    """The child process gave no answer in time."""


def make_scenes(
    job: WorkerJob, scenes: Iterable[int], limits: Limits, command: Sequence[str] = WORKER_COMMAND
) -> Iterator[dict[str, Any]]:
    """Make the scenes that the spool does not hold yet; yields one event a scene, {"event": "kept"} for those it holds.

    A scene that hangs is stopped and recorded as failed; one that kills its process is tried once more, then recorded.
    Raises SceneGenError when no scene can succeed (full disk, missing device, a worker that does not start).
    """
    root = Root.open(job.location)
    child: _Child | None = None
    made_by_child = 0
    try:
        for scene in scenes:
            if scene in finished_scenes(root, job.shard):
                yield {"event": "kept", "scene": scene}
                continue
            child = child or _Child(job, command)
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
    """(what became of the scene, the child that lives on)."""
    started = time.monotonic()
    for last_try in (False, True):
        try:
            return child.ask(scene, limits.scene_timeout_s), child
        except _HangError:
            child.kill()
            reason = f"timeout: not finished after {limits.scene_timeout_s:g} s"
            break
        except _ChildDiedError as error:
            child.kill()
            reason = f"crash: {error}"
            if not last_try:
                child = _Child(job, command)
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
        self._answers: queue.Queue[str] = queue.Queue()
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        threading.Thread(target=self._read_answers, daemon=True).start()
        threading.Thread(target=self._read_log, daemon=True).start()
        self._send(job.to_json())
        self._ready = False

    def ask(self, scene: int, limit_s: float) -> dict[str, Any]:
        """Have one scene made. Raises _HangError, _ChildDiedError; SceneGenError for what is wrong with every scene."""
        if not self._ready:
            try:
                self._receive(max(_START_LIMIT_S, limit_s))
            except (_HangError, _ChildDiedError) as error:
                reason = str(error) or "it is not ready in time"
                raise SceneGenError(
                    f"the worker does not start: {reason}. Its last lines:\n{self.log_tail()}"
                ) from None
            self._ready = True
        self._send(json.dumps({"scene": scene}))
        return self._receive(limit_s)

    def leave(self) -> None:
        """Let the process end by itself; it is killed if it does not."""
        try:
            self._process.stdin.close()  # type: ignore[union-attr]
            self._process.wait(_LEAVE_LIMIT_S)
        except (subprocess.TimeoutExpired, OSError):
            pass
        self.kill()

    def kill(self) -> None:
        """End the process and everything that it started, and remove its scratch folder."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def log_tail(self) -> str:
        """The last lines that the process printed."""
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
                raise _ChildDiedError(self._how_it_ended())
            event = json.loads(line)
            if event["event"] == "fatal":
                raise SceneGenError(event["message"])
            return event
        raise _HangError

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        if code < 0:
            return f"the renderer's process was ended by {signal.Signals(-code).name}"
        return f"the renderer's process ended with code {code}"

    def _read_answers(self) -> None:
        for line in self._process.stdout:  # type: ignore[union-attr]
            self._answers.put(line)
        self._answers.put("")

    def _read_log(self) -> None:
        for line in self._process.stderr:  # type: ignore[union-attr]
            self._log.append(line)
