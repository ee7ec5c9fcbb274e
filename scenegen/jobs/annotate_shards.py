"""The driver of `scenegen annotate`: hands shards to Ray actors that each hold one loaded estimator.

One actor a GPU for networks; one a core for `simulated`. An actor that dies is replaced and its shard tried again; what
goes wrong with one shard is recorded and the others go on. Sidecars appear whole or not at all, so that stopping costs
the shards in progress and nothing else.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import ray

from scenegen.contract.sidecar import EstimatorMeta
from scenegen.contract.storage import Root
from scenegen.errors import CannotStoreError, SceneGenError
from scenegen.jobs.resources import Machine
from scenegen.shards.sidecars import SidecarFile, write_sidecar

if TYPE_CHECKING:
    from scenegen.annotate.manifest import EstimatorRecord
    from scenegen.annotate.options import EstimatorOptions
    from scenegen.annotate.weights import Weights

_TRIES = 3  # of a shard whose worker dies
_WAIT_S = 0.5

Event = dict[str, Any]
OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class AnnotateWork:
    """What all actors of one run have in common."""

    location: str
    record: "EstimatorRecord"
    weights: "Weights | None"
    meta: EstimatorMeta
    options: "EstimatorOptions"


@dataclass(frozen=True, slots=True)
class AnnotatePlan:
    """workers: actors at a time; threads, num_cpus, num_gpus: of each."""

    workers: int
    threads: int
    num_cpus: float
    num_gpus: float


@dataclass(slots=True)
class AnnotateTally:
    """What happened. seconds: of each step, summed over workers. failed: (shard, reason)."""

    shards: int = 0
    views: int = 0
    bytes: int = 0
    seconds: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[int, str]] = field(default_factory=list)
    interrupted: bool = False


def plan_actors(machine: Machine, is_network: bool, device: str, workers: int | None) -> AnnotatePlan:
    """Share a machine out: a GPU an actor for networks, else one actor; as many as cores for what runs on CPUs alone.

    Raises SceneGenError when CUDA is asked for and Ray sees no GPU.
    """
    cpus = max(machine.cpus, 1)
    if is_network and device == "cuda" and not machine.gpus:
        raise SceneGenError("device cuda was asked for, but Ray sees no GPU here; check nvidia-smi or use --device cpu")
    use_gpus = is_network and device != "cpu" and machine.gpus > 0
    fitting = machine.gpus if use_gpus else 1 if is_network else cpus
    count = min(workers or fitting, cpus)
    share = (1.0 if count <= machine.gpus else 1.0 / -(-count // machine.gpus)) if use_gpus else 0.0
    return AnnotatePlan(count, max(1, cpus // count), cpus / count, share)


def annotate_shards(
    work: AnnotateWork, plan: AnnotatePlan, files: Sequence[SidecarFile], on_event: OnEvent, stop: threading.Event
) -> AnnotateTally:
    """Make the given sidecars. Ray must be initialised.

    Raises SceneGenError for what stops every shard: an estimator that does not load, a full disk.
    """
    return _Run(work, plan, files, on_event, stop).run()


class _Annotator:
    """A Ray actor: one estimator, loaded once. Ray sets OMP_NUM_THREADS to its share of the cores."""

    def __init__(self, work: AnnotateWork, threads: int) -> None:
        from scenegen.annotate.registry import load_estimator

        self._work, self._threads = work, threads
        self._estimator = load_estimator(work.record, work.weights, work.options)

    def annotate(self, file: SidecarFile) -> Iterator[Event]:
        """Yields {"event": "scene", "views"} as scenes are done, then {"event": "sidecar", ...}."""
        from scenegen.annotate.shard import ShardRun, sidecar_rows

        events: SimpleQueue[int | None] = SimpleQueue()
        root, meta = Root.open(self._work.location), self._work.meta
        run = ShardRun(root, file.views, self._estimator, meta, self._work.options.seed)
        rows = sidecar_rows(run, events.put, max(2, self._threads))
        with ThreadPoolExecutor(1) as pool:
            made = pool.submit(write_sidecar, root, file, meta, rows)
            made.add_done_callback(lambda _: events.put(None))
            while (views := events.get()) is not None:
                yield {"event": "scene", "shard": file.shard, "views": views}
        seconds = {name: round(getattr(run.times, f"{name}_s"), 3) for name in ("read", "predict", "align", "encode")}
        yield {
            "event": "sidecar",
            "estimator": self._work.record.name,
            "shard": file.shard,
            "views": run.times.views,
            "bytes": made.result(),
            "seconds": seconds,
        }


class _Run:
    """One run of one estimator over some shards."""

    def __init__(
        self,
        work: AnnotateWork,
        plan: AnnotatePlan,
        files: Sequence[SidecarFile],
        on_event: OnEvent,
        stop: threading.Event,
    ) -> None:
        self._work, self._plan, self._on_event, self._stop = work, plan, on_event, stop
        self._waiting = deque(files)
        self._tries: Counter[int] = Counter()
        self._tally = AnnotateTally()
        self._running: dict[ray.ObjectRefGenerator, tuple[ray.actor.ActorHandle, SidecarFile]] = {}

    def run(self) -> AnnotateTally:
        actors = [self._actor() for _ in range(min(self._plan.workers, len(self._waiting)))]
        try:
            for actor in actors:
                self._start(actor)
            while self._running:
                if self._stop.is_set():
                    self._tally.interrupted = True
                    break
                ready, _ = ray.wait([*self._running], num_returns=1, timeout=_WAIT_S, fetch_local=False)
                for events in ready:
                    self._step(events)
        finally:
            for actor, _ in self._running.values():
                ray.kill(actor)
        return self._tally

    def _actor(self) -> ray.actor.ActorHandle:
        kind = ray.remote(num_cpus=self._plan.num_cpus, num_gpus=self._plan.num_gpus)(_Annotator)
        return kind.remote(self._work, self._plan.threads)

    def _start(self, actor: ray.actor.ActorHandle) -> None:
        """Give an actor the next shard; one without work is let go."""
        if not self._waiting:
            ray.kill(actor)
            return
        file = self._waiting.popleft()
        self._running[actor.annotate.options(num_returns="streaming").remote(file)] = (actor, file)

    def _step(self, events: ray.ObjectRefGenerator) -> None:
        actor, file = self._running[events]
        try:
            event = ray.get(next(events))
        except StopIteration:
            del self._running[events]
            self._start(actor)
        except ray.exceptions.RayTaskError as error:
            del self._running[events]
            self._failed(file, error)
            self._start(actor)
        except ray.exceptions.RayActorError as error:
            del self._running[events]
            self._died(file, error)
        else:
            self._count(event)

    def _count(self, event: Event) -> None:
        if event["event"] == "scene":
            self._tally.views += event["views"]
        else:
            self._tally.shards += 1
            self._tally.bytes += event["bytes"]
            self._tally.seconds.update(event["seconds"])
        self._on_event(event)

    def _failed(self, file: SidecarFile, error: ray.exceptions.RayTaskError) -> None:
        cause = error.cause
        if isinstance(cause, CannotStoreError):
            raise cause from None
        reason = str(cause) if isinstance(cause, SceneGenError) else f"{type(cause).__name__}: {cause}"
        self._record(file, reason)

    def _died(self, file: SidecarFile, error: ray.exceptions.RayActorError) -> None:
        """The worker's process is gone, or its estimator did not load."""
        cause = getattr(error, "cause", None)
        if isinstance(cause, ray.exceptions.RayTaskError):
            cause = cause.cause
        if isinstance(cause, SceneGenError):
            raise cause from None
        if "creation task" in str(error):
            raise SceneGenError(f"{self._work.record.name} does not load: {str(error).strip()[-1500:]}") from None
        self._tries[file.shard] += 1
        if self._tries[file.shard] < _TRIES:
            self._waiting.appendleft(file)
        else:
            self._record(file, f"its worker died {_TRIES} times; try a smaller --batch-size")
        if self._waiting:
            self._start(self._actor())

    def _record(self, file: SidecarFile, reason: str) -> None:
        self._tally.failed.append((file.shard, reason))
        self._on_event({"event": "failed_sidecar", "shard": file.shard, "reason": reason})
