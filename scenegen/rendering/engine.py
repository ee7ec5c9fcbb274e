"""The driver: hands the scenes of the missing shards to Ray, has finished shards assembled, and counts events.

Ray schedules; what is finished is known from files alone. One kind of task makes a chunk of one shard's scenes in a
child process, another kind assembles the shard. Only small events go through Ray's object store, and the list of work
is a range, so that the driver does not grow with the number of scenes.
"""

import contextlib
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray

from scenegen.config import DatasetConfig, JobConfig
from scenegen.contract.schema import ShardMeta
from scenegen.contract.storage import Root
from scenegen.errors import CannotStoreError, SceneGenError
from scenegen.jobs.resources import WorkerPlan
from scenegen.jobs.restarts import WorkerKilledError
from scenegen.jobs.shared_storage import wait_for_files
from scenegen.rendering.supervisor import WORKER_COMMAND, Limits, make_scenes
from scenegen.scenes.worker_job import WorkerJob
from scenegen.shards.config_file import CONFIG_NAME
from scenegen.shards.ledger import ShardLedger
from scenegen.shards.writer import MissingScenes, assemble_shard

_SYSTEM_RETRIES = 3  # after the loss of a node; the failure of a scene is recorded and not retried here
_REMAKE_ROUNDS = 3
_WAIT_S = 0.5
_HOPELESS_AFTER = 10
_CANCEL_S = 20.0
# What Ray raises after its retries when a process or a node ended, as opposed to an error inside a task.
_LOST = (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError)

Event = dict[str, Any]
OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Work:
    """What all tasks of one run have in common. location: the dataset's root. command: starts a worker process."""

    location: str
    config: DatasetConfig
    meta: ShardMeta
    job: JobConfig
    plan: WorkerPlan
    command: Sequence[str] = WORKER_COMMAND


@dataclass(slots=True)
class _Chunk:
    """Scenes of one shard that one task makes. reported: those of which an event has come."""

    shard: int
    scenes: Sequence[int]
    reported: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Tally:
    """The number of scenes made, kept from before and failed, and of finished shards. reasons: of the failures."""

    made: int = 0
    kept: int = 0
    failed: int = 0
    shards: int = 0
    interrupted: bool = False
    reasons: Counter[str] = field(default_factory=Counter)


def run_shards(work: Work, shards: Sequence[int], on_event: OnEvent, stop: threading.Event) -> Tally:
    """Make these shards. Ray must be initialised.

    on_event: gets every event. stop: ends the run soon after it is set.
    Raises SceneGenError for what stops every scene (the first such error), after all tasks have ended.
    """
    return _Run(work, shards, on_event, stop).run()


class _Run:
    """One run over some shards."""

    def __init__(self, work: Work, shards: Sequence[int], on_event: OnEvent, stop: threading.Event) -> None:
        self._work = work
        self._on_event = on_event
        self._stop = stop
        self._tally = Tally()
        self._chunks = self._all_chunks(shards)
        self._making: dict[ray.ObjectRefGenerator, _Chunk] = {}
        self._assembling: dict[ray.ObjectRef, int] = {}
        self._open_chunks: Counter[int] = Counter()  # chunks of a shard that are not finished
        self._remade: Counter[int] = Counter()
        self._extra: deque[_Chunk] = deque()
        self._lost_in_a_row = 0
        plan = work.plan
        self._make = ray.remote(num_cpus=plan.num_cpus, num_gpus=plan.num_gpus, max_retries=_SYSTEM_RETRIES)(_make_task)
        self._assemble = ray.remote(num_cpus=0, max_retries=_SYSTEM_RETRIES, scheduling_strategy="SPREAD")(
            _assemble_task
        )
        self._shared = ray.put(work)

    def run(self) -> Tally:
        try:
            self._fill()
            while self._making or self._assembling:
                if self._stop.is_set():
                    self._tally.interrupted = True
                    break
                self._step()
                self._fill()
        except ray.exceptions.RayTaskError as error:
            cause = error.as_instanceof_cause()
            raise (_plain(cause) if isinstance(cause, SceneGenError) else error) from None
        finally:
            self._cancel_all()
        return self._tally

    def _all_chunks(self, shards: Sequence[int]) -> Iterator[_Chunk]:
        """Whole shards, or parts of them if there are too few shards to keep all workers busy."""
        config, workers = self._work.config, self._work.plan.workers
        pieces = max(1, -(-2 * workers // max(len(shards), 1)))
        for shard in shards:
            reach = config.shard_scenes(shard)
            size = -(-len(reach) // pieces)
            chunks = [reach[first : first + size] for first in range(0, len(reach), size)]
            self._open_chunks[shard] = len(chunks)
            for chunk in chunks:
                yield _Chunk(shard, chunk)

    def _fill(self) -> None:
        """Start tasks up to the number of workers. Ray decides where they run."""
        while len(self._making) < self._work.plan.workers:
            chunk = self._extra.popleft() if self._extra else next(self._chunks, None)
            if chunk is None:
                return
            events = self._make.options(num_returns="streaming").remote(self._shared, chunk.shard, chunk.scenes)
            self._making[events] = chunk

    def _step(self) -> None:
        waiting: list[Any] = [*self._making, *self._assembling]
        ready: list[Any] = ray.wait(waiting, num_returns=1, timeout=_WAIT_S, fetch_local=False)[0]
        for one in ready:
            try:
                if one in self._assembling:
                    self._assembled(self._assembling[one], ray.get(one))
                    del self._assembling[one]
                else:
                    self._count(ray.get(next(one)), self._making[one])
            except StopIteration:
                self._chunk_ended(self._making.pop(one).shard)
            except _LOST as error:
                self._lost(one, str(error).splitlines()[0])
            except ray.exceptions.RayTaskError as error:
                if not isinstance(error.cause, WorkerKilledError):
                    raise
                self._lost(one, str(error.cause))

    def _lost(self, task: "ray.ObjectRef | ray.ObjectRefGenerator", reason: str) -> None:
        """A task's processes were killed: its remaining scenes are queued again, and Ray may place them elsewhere.

        Raises SceneGenError if this happens many times without a scene made in between.
        """
        self._lost_in_a_row += 1
        if self._lost_in_a_row >= max(_HOPELESS_AFTER, 2 * self._work.plan.workers):
            raise SceneGenError(
                f"something kills the processes of workers: {self._lost_in_a_row} times without a scene made in "
                f"between; the last: {reason}. Most likely memory runs out (dmesg says so). Give fewer --workers or "
                "more memory, then run the same command again; what is finished is kept"
            )
        if task in self._assembling:
            shard = self._assembling.pop(task)
            self._assembling[self._assemble.remote(self._shared, shard)] = shard
        else:
            chunk = self._making.pop(task)
            shard = chunk.shard
            self._extra.append(_Chunk(shard, [scene for scene in chunk.scenes if scene not in chunk.reported]))
        self._on_event({"event": "lost_worker", "shard": shard, "reason": reason})

    def _chunk_ended(self, shard: int) -> None:
        self._open_chunks[shard] -= 1
        if not self._open_chunks[shard]:
            del self._open_chunks[shard]
            self._assembling[self._assemble.remote(self._shared, shard)] = shard

    def _assembled(self, shard: int, result: ShardLedger | MissingScenes) -> None:
        if isinstance(result, ShardLedger):
            self._tally.shards += 1
            self._on_event({"event": "shard", "shard": shard, "bytes": result.views.bytes, "rows": result.views.rows})
            return
        self._remade[shard] += 1
        if self._remade[shard] > _REMAKE_ROUNDS:
            raise SceneGenError(
                f"shard {shard}: scenes {list(result.scenes)} do not stay readable in the spool; check the disk of "
                f"{self._work.location}, then run again"
            )
        self._on_event({"event": "remake", "shard": shard, "scenes": list(result.scenes)})
        self._open_chunks[shard] = 1
        self._extra.append(_Chunk(shard, result.scenes))

    def _count(self, event: Event, chunk: _Chunk) -> None:
        tally = self._tally
        chunk.reported.add(event["scene"])
        self._lost_in_a_row = 0
        if event["event"] == "kept":
            tally.kept += 1
        elif event["event"] == "failed":
            tally.failed += 1
            tally.reasons[event["reason"]] += 1
        else:
            tally.made += 1
        self._on_event(event)
        if tally.failed >= _HOPELESS_AFTER and not tally.made and not tally.kept:
            raise SceneGenError(
                f"the first {tally.failed} scenes all failed, so the others were not tried. Reason: {event['reason']}"
            )

    def _cancel_all(self) -> None:
        """Cancel all tasks: each kills its child process. Finished scenes stay in the spool."""
        for task in [*self._making, *self._assembling]:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.cancel(task)
        ends = [events.completed() for events in self._making]
        if not ends:
            return
        with contextlib.suppress(ray.exceptions.RayError):
            ray.wait(ends, num_returns=len(ends), timeout=_CANCEL_S, fetch_local=False)


def _make_task(work: Work, shard: int, scenes: Sequence[int]) -> Iterator[Event]:
    how, plan = work.job, work.plan
    wait_for_files(Root.open(work.location), [CONFIG_NAME])
    job = WorkerJob(work.location, shard, work.config, work.meta, how.device, plan.threads)
    limits = Limits(how.scene_limit_s, how.recycle_scenes, plan.recycle_rss_bytes, how.start_pause_s)
    yield from make_scenes(job, scenes, limits, work.command)


def _assemble_task(work: Work, shard: int) -> ShardLedger | MissingScenes:
    root = Root.open(work.location)
    wait_for_files(root, [CONFIG_NAME])
    try:
        return assemble_shard(root, work.config, work.meta, shard)
    except OSError as error:
        raise CannotStoreError(work.location, error) from error


def _plain(error: SceneGenError) -> SceneGenError:
    """Ray's two-class error as one of ours alone, without the remote traceback in its message."""
    cause = getattr(error, "cause", error)
    return cause if isinstance(cause, SceneGenError) else error
