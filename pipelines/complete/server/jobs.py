"""Jobs: the image of one visitor and its results, each job with a random id and a folder of its own."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipelines.complete.server.limits import Limits, Refused

State = Literal["draft", "waiting", "running", "done", "failed", "cancelled"]
BUSY: tuple[State, ...] = ("waiting", "running")
ObjectState = Literal["waiting", "seen", "coarse", "fine", "completed", "skipped", "failed", "cancelled"]
ENDED: tuple[ObjectState, ...] = ("completed", "skipped", "failed", "cancelled")
GONE = "This job does not exist, or it has expired and was deleted. Upload the image again."


@dataclass(frozen=True)
class JobObject:
    """The state of an object. reason: why it goes no further, a sentence. faces: the number of faces of its mesh."""

    state: ObjectState = "waiting"
    reason: str = ""
    faces: int = 0
    cut_by_border: bool = False


@dataclass
class Job:
    """Changed by the thread of a request or by the worker, never by both at once: `state` says by which.

    size_px: (width, height) of its image.
    origin: where image, masks and depth came from, for the report.
    names: of instances, where they are known.
    mask_notes: what was assumed about the masks. mask_parts: the number of components of a single mask.
    depth_note: what is known, or was assumed, about the depth.
    progress: step, done, total, instances.
    objects: by instance id, of the last completion.
    stages: the scenes that can be fetched, in the order in which they were made.
    """

    job_id: str
    folder: Path
    size_px: tuple[int, int] = (0, 0)
    origin: dict[str, Any] = field(default_factory=dict)
    camera: dict[str, Any] | None = None
    state: State = "draft"
    message: str = ""
    progress: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    mask_notes: tuple[str, ...] = ()
    mask_parts: int = 0
    depth_note: str = ""
    objects: dict[str, JobObject] = field(default_factory=dict)
    stages: tuple[str, ...] = ()
    exact_depth: bool = False
    last_asked_s: float = 0.0
    cancel: threading.Event = field(default_factory=threading.Event)

    def keep(self, name: str, values: np.ndarray) -> None:
        """Stored in the folder, not in memory, because many jobs wait while one is computed."""
        np.save(self.folder / f"{name}.npy", values)

    def has(self, name: str) -> bool:
        return (self.folder / f"{name}.npy").exists()

    def load(self, name: str) -> np.ndarray:
        return np.asarray(np.load(self.folder / f"{name}.npy"))

    def check_idle(self) -> None:
        if self.state in BUSY:
            raise Refused(409, "This job is being computed; cancel it first.")

    def end(self, state: Literal["done", "failed", "cancelled"], message: str = "") -> None:
        """Nothing more is computed. Objects that have not ended get the state of the job."""
        if state != "done":
            ended = JobObject(state, message)
            self.objects = {i: one if one.state in ENDED else ended for i, one in self.objects.items()}
        self.state, self.message = state, message

    def described(self) -> dict[str, Any]:
        """What the page is told of it, as JSON."""
        width, height = self.size_px
        return {
            "id": self.job_id,
            "width": width,
            "height": height,
            "state": self.state,
            "message": self.message,
            "progress": dict(self.progress),
            "objects": {i: asdict(one) for i, one in self.objects.items()},
            "names": self.names,
            "mask_notes": self.mask_notes,
            "mask_parts": self.mask_parts,
            "depth_note": self.depth_note,
            "stages": list(self.stages),
            "has_masks": self.has("ids"),
            "has_depth": self.has("depth"),
            "has_camera": self.camera is not None,
            "T_world_cam": None if self.camera is None else self.camera["T_world_cam"],
        }


class JobStore:
    """All jobs of a server, under one folder. Its methods may be called from any thread."""

    def __init__(self, root: Path, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._root, self._limits, self._clock = root, limits, clock
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def create(self) -> Job:
        """Raises Refused when there are too many."""
        self.sweep()
        job_id = secrets.token_urlsafe(18)
        with self._lock:
            if len(self._jobs) >= self._limits.jobs:
                raise Refused(429, "The server holds as many jobs as it can; try again in a few minutes.")
            folder = self._root / job_id
            folder.mkdir(parents=True)
            job = self._jobs[job_id] = Job(job_id, folder, last_asked_s=self._clock())
        return job

    def get(self, job_id: str) -> Job:
        """Raises Refused for a job that does not exist, or no longer."""
        self.sweep()
        with self._lock:
            if job_id not in self._jobs:
                raise Refused(404, GONE)
            job = self._jobs[job_id]
            job.last_asked_s = self._clock()
        return job

    def delete(self, job: Job) -> None:
        """A job that is being computed is cancelled, and the worker removes its folder afterwards."""
        job.cancel.set()
        with self._lock:
            self._jobs.pop(job.job_id, None)
        if job.state not in BUSY:
            self.forget(job)

    def forget(self, job: Job) -> None:
        """Remove the folder of a job that was deleted."""
        with self._lock:
            known = job.job_id in self._jobs
        if not known:
            shutil.rmtree(job.folder, ignore_errors=True)

    def sweep(self) -> None:
        """Delete the jobs that nobody has asked for in a while."""
        with self._lock:
            oldest = self._clock() - self._limits.idle_s
            expired = [job for job in self._jobs.values() if job.last_asked_s < oldest]
        for job in expired:
            self.delete(job)
