"""The child process that makes scenes: sample, render, check, spool. JSON lines in, JSON lines out.

Its supervisor (scenegen/rendering/supervisor.py) kills it when a scene hangs and replaces it when its memory grows. It
leaves with `os._exit`, because Blender may hang at the interpreter's exit after a render.

In:  one line with the job, then one line {"scene": 17} for each scene; it leaves at the end of the input.
Out: {"event": "ready"}, then for each scene {"event": "made", ...} or {"event": "failed", "reason": ...};
     {"event": "fatal", "message": ...} when no other scene can succeed either (full disk, missing device).
"""

import ctypes
import errno
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, TextIO

import psutil

from scenegen.contract.records import Scene
from scenegen.contract.storage import Root
from scenegen.errors import CannotStoreError, SceneError, SceneGenError
from scenegen.scenes.maker import MadeScene, SceneTools, make_scene
from scenegen.scenes.worker_job import WorkerJob
from scenegen.shards.spool import SceneRecord, write_scene

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}


def serve(open_tools: Callable[[WorkerJob], SceneTools]) -> None:
    """Be the child process: answer until the input ends. Never returns."""
    _die_with_parent()
    answers = _own_stdout()
    code = 0
    try:
        job = WorkerJob.from_json(sys.stdin.readline())
        tools = open_tools(job)
        _answer(answers, {"event": "ready"})
        for line in iter(sys.stdin.readline, ""):
            _answer(answers, _make(job, tools, json.loads(line)["scene"]))
        tools.renderer.close()
    except SceneGenError as error:
        _answer(answers, {"event": "fatal", "message": str(error)})
        code = error.exit_code
    except BaseException as error:  # noqa: BLE001 - whatever it is, the supervisor must be told
        traceback.print_exc()
        _answer(answers, {"event": "fatal", "message": f"the worker stopped: {type(error).__name__}: {error}"})
        code = 1
    sys.stderr.flush()
    os._exit(code)


def _make(job: WorkerJob, tools: SceneTools, scene_index: int) -> dict[str, Any]:
    """Make and spool one scene; returns its event. Raises CannotStoreError, OSError for a disk that takes nothing."""
    started, cpu_started = time.perf_counter(), time.process_time()
    reason = ""
    made = MadeScene(Scene(scene_index), (), ())
    try:
        made = make_scene(tools, job.config, scene_index)
    except SceneError as error:
        reason = str(error)
    except Exception as error:
        if _is_disk_error(error):
            raise
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
    if reason:
        made = MadeScene(Scene(scene_index, status="failed", failure=reason), (), made.quarantined)
    record = SceneRecord(
        seconds=time.perf_counter() - started,
        cpu_seconds=time.process_time() - cpu_started,
        quarantined=made.quarantined,
        host=socket.gethostname(),
    )
    size = _store(job, made, record)
    return {
        "event": "failed" if reason else "made",
        "scene": scene_index,
        "reason": reason,
        "seconds": record.seconds,
        "cpu_seconds": record.cpu_seconds,
        "views": len(made.views),
        "objects": len(made.scene.objects),
        "objects_requested": made.scene.objects_requested,
        "views_rejected": dict(made.scene.views_rejected),
        "quarantined": made.quarantined,
        "bytes": size,
        "rss_bytes": psutil.Process().memory_info().rss,
    }


def _store(job: WorkerJob, made: MadeScene, record: SceneRecord) -> int:
    """Put the scene into the spool; returns its size in bytes. Raises CannotStoreError."""
    root = Root.open(job.location)
    try:
        try:
            return write_scene(root, job.meta, job.shard, made.scene, made.views, record)
        except FileNotFoundError:  # another worker finished the shard just now and took its spool folder away
            return write_scene(root, job.meta, job.shard, made.scene, made.views, record)
    except OSError as error:
        raise CannotStoreError(job.location, error) from error


def _is_disk_error(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _DISK_ERRORS


def _answer(answers: TextIO, event: dict[str, Any]) -> None:
    answers.write(json.dumps(event) + "\n")
    answers.flush()


def _own_stdout() -> TextIO:
    """Keep the pipe to the supervisor for answers; whatever libraries print to stdout goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _die_with_parent() -> None:
    """On Linux, be killed when the supervisor dies, even in the middle of a render."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() == 1:
            os._exit(1)


def main() -> None:
    from scenegen.scenes.factory import open_tools

    serve(open_tools)


if __name__ == "__main__":
    main()
