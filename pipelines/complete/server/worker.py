"""The one thread that owns the networks: jobs come in a queue, one is computed at a time."""

from __future__ import annotations

import logging
import threading
from collections import deque

from models.moge import Moge
from pipelines.complete.depth import estimate_with_moge
from pipelines.complete.pipeline import FixerPipeline
from pipelines.complete.records import Completion, Settings
from pipelines.complete.server.jobs import Job, JobStore
from pipelines.complete.server.limits import Limits, Refused
from pipelines.complete.server.recorder import Cancelled, Recorder
from pipelines.complete.server.requests import CompletionRequest
from pipelines.complete.sources import MOGE2
from pipelines.errors import PipelineError

SWEEP_EVERY_S = 30.0
LOG = logging.getLogger("fixer-complete")


class Worker(threading.Thread):
    """moge: the depth estimator, None if its weights were not given. Ends with the program, or by `stop`."""

    def __init__(self, pipe: FixerPipeline, moge: Moge | None, store: JobStore, limits: Limits) -> None:
        super().__init__(name="completion", daemon=True)
        self.pipe, self.moge = pipe, moge
        self._store, self._limits = store, limits
        self._queue: deque[tuple[Job, CompletionRequest]] = deque()
        self._changed = threading.Condition()
        self._stopped = False

    def submit(self, job: Job, request: CompletionRequest) -> None:
        """Raises Refused when the queue is full, or the job is in it."""
        with self._changed:
            job.check_idle()
            if len(self._queue) >= self._limits.waiting:
                raise Refused(429, f"{len(self._queue)} jobs are waiting already; try again in a minute.")
            job.cancel.clear()
            job.state, job.message, job.progress, job.outcomes, job.stages = "waiting", "", {}, {}, ()
            self._queue.append((job, request))
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """A waiting job at once; a running one after the sampler step that it is in."""
        with self._changed:
            job.cancel.set()
            left = [(other, request) for other, request in self._queue if other is not job]
            if len(left) < len(self._queue):
                self._queue = deque(left)
                job.state = "cancelled"

    def place(self, job: Job) -> int:
        """How many jobs are before it in the queue."""
        with self._changed:
            return next((number for number, (other, _) in enumerate(self._queue) if other is job), 0)

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            for job, _ in self._queue:
                job.cancel.set()
            self._changed.notify()

    def run(self) -> None:
        while True:
            with self._changed:
                if not self._queue and not self._stopped:
                    self._changed.wait(SWEEP_EVERY_S)
                if self._stopped:
                    return
                job, request = self._queue.popleft() if self._queue else (None, None)
                if job is not None:
                    job.state = "running"
            if job is None or request is None:
                self._store.sweep()
                continue
            self._compute(job, request)
            self._store.forget(job)  # it may have been deleted meanwhile

    def _compute(self, job: Job, request: CompletionRequest) -> None:
        try:
            recorder = Recorder(job, self.pipe.networks.title)
            completion = self._complete(job, request, recorder)
            recorder.finish(completion)
            job.state = "done"
        except Cancelled:
            job.state = "cancelled"
        except PipelineError as error:
            job.state, job.message = "failed", str(error)
        except Exception:  # one job must not end the server; ours is the log, the user's a sentence
            LOG.exception("a job failed")
            job.state, job.message = "failed", "The server made a mistake; its log says more."

    def _complete(self, job: Job, request: CompletionRequest, recorder: Recorder) -> Completion:
        recorder.check()
        rgb, ids, camera = job.load("rgb"), job.load("ids"), request.camera
        if request.depth == MOGE2:
            assert self.moge is not None  # checked with the request
            job.progress = {"step": "depth", "done": 0, "total": 1, "instances": []}
            estimated = estimate_with_moge(self.moge, rgb, camera, self.pipe.computer)
            depth, camera = estimated.depth_HW, estimated.camera
        else:
            depth = job.load("depth")
        assert camera is not None  # checked with the request
        given = {"steps": request.steps, "guidance": request.guidance}
        changes = {name: value for name, value in given.items() if value is not None}
        settings = Settings(samplers=self.pipe.networks.samplers.with_all(**changes))
        return self.pipe(
            rgb,
            ids,
            depth,
            camera,
            depth_ratio=request.depth_ratio,
            seed=request.seed,
            settings=settings,
            on_progress=recorder.progress,
            on_found=recorder.found,
        )
