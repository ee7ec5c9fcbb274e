"""The queue of jobs, and the one thread that owns the networks and computes one job at a time."""

from __future__ import annotations

import logging
import threading
from collections import deque

from pipelines.complete.inputs.estimators import LoadedEstimator
from pipelines.complete.pipeline import FixerPipeline
from pipelines.complete.results import Completion
from pipelines.complete.server.jobs import Job, JobObject, JobStore
from pipelines.complete.server.limits import MISTAKE, Limits, Refused
from pipelines.complete.server.recorder import Cancelled, Recorder
from pipelines.complete.server.requests import CompletionRequest
from pipelines.complete.settings import Settings
from pipelines.errors import PipelineError

SWEEP_EVERY_S = 30.0
STOP_WITHIN_S = 10.0
LOG = logging.getLogger("fixer-complete")


class Worker(threading.Thread):
    """estimator: of depth, None if the server has none. The thread ends with the program, or by `stop`."""

    def __init__(self, pipe: FixerPipeline, estimator: LoadedEstimator | None, store: JobStore, limits: Limits) -> None:
        super().__init__(name="completion", daemon=True)
        self.pipe, self.estimator = pipe, estimator
        self._store, self._limits = store, limits
        self._queue: deque[tuple[Job, CompletionRequest]] = deque()
        self._current: Job | None = None
        self._changed = threading.Condition()
        self._stopped = False

    def submit(self, job: Job, request: CompletionRequest) -> None:
        """Raises Refused when the queue is full, or the job is in it."""
        with self._changed:
            job.check_idle()
            if len(self._queue) >= self._limits.waiting:
                raise Refused(429, f"{len(self._queue)} jobs are waiting already; try again in a minute.")
            job.cancel.clear()
            job.state, job.message, job.progress, job.stages = "waiting", "", {}, ()
            job.objects = {str(i): JobObject() for i in request.instance_ids}
            self._queue.append((job, request))
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """A waiting job ends at once, a running one after its current sampler step."""
        with self._changed:
            job.cancel.set()
            left = [(other, request) for other, request in self._queue if other is not job]
            if len(left) < len(self._queue):
                self._queue = deque(left)
                job.end("cancelled")

    def place(self, job: Job) -> int:
        """How many jobs are before it in the queue."""
        with self._changed:
            return next((number for number, (other, _) in enumerate(self._queue) if other is job), 0)

    def stop(self) -> None:
        """Returns when the current sampler step has ended, or after STOP_WITHIN_S."""
        with self._changed:
            self._stopped = True
            if self._current is not None:
                self._current.cancel.set()
            self._changed.notify()
        self.join(STOP_WITHIN_S)

    def run(self) -> None:
        while True:
            with self._changed:
                if not self._queue and not self._stopped:
                    self._changed.wait(SWEEP_EVERY_S)
                if self._stopped:
                    return
                job, request = self._queue.popleft() if self._queue else (None, None)
                self._current = job
                if job is not None:
                    job.state = "running"
            if job is None or request is None:
                self._store.sweep()
                continue
            self._compute(job, request)
            self._store.forget(job)  # it may have been deleted in the meantime

    def _compute(self, job: Job, request: CompletionRequest) -> None:
        try:
            recorder = Recorder(job, self.pipe.networks.title)
            completion = self._complete(job, request, recorder)
            recorder.finish(completion)
            job.end("done")
        except Cancelled:
            job.end("cancelled")
        except PipelineError as error:
            job.end("failed", str(error))
        except Exception:  # one job must not end the server: the log gets the traceback, the visitor a sentence
            LOG.exception("a job failed")
            job.end("failed", MISTAKE)

    def _complete(self, job: Job, request: CompletionRequest, recorder: Recorder) -> Completion:
        recorder.check()
        rgb, ids, camera = job.load("rgb"), job.load("ids"), request.camera
        if request.depth == "estimated":
            assert self.estimator is not None  # checked with the request
            job.progress = {"step": "depth", "done": 0, "total": 1, "instances": []}
            estimated = self.estimator(rgb, camera)
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
