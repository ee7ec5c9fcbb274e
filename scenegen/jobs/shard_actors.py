"""Hands shards to Ray actors that each hold something costly to open: a network, or Blender in a child process.

An actor that dies is replaced, and its shard is tried again. A shard that fails is recorded, and the others continue.
The files that actors write appear whole or not at all, so that a stop costs no more than the shards in progress.
"""

import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import ray

from scenegen.config import JobConfig
from scenegen.errors import CannotStoreError, SceneGenError
from scenegen.jobs.cluster import ray_session
from scenegen.jobs.reporting import Event, StepProgress
from scenegen.jobs.resources import Machine
from scenegen.jobs.restarts import DoesNotStartError, WorkerKilledError
from scenegen.jobs.signals import stop_on_signal

_TRIES = 3  # of a shard whose worker dies
_HOPELESS_AFTER = 10
_WAIT_S = 0.5

OnEvent = Callable[[Event], None]


class HasShard(Protocol):
    """A piece of work: what is to be made for one shard."""

    @property
    def shard(self) -> int: ...


class ShardMaker(Protocol):
    """The class that an actor runs; its constructor takes (work, threads).

    Ray sets OMP_NUM_THREADS to the actor's share of the cores.
    """

    def make(self, piece: Any) -> Iterator[Event]:
        """Make the files of one shard.

        Yields {"event": "progress", "shard", "units"} as units are done, {"event": "failed_asset", "shard", "asset",
        "reason"} for what is left out, and at the end {"event": "done", "shard", "units", "rows", "bytes", "seconds"}:
        the units made now, rows and bytes of the file, and the seconds of each part by name.
        """
        ...


@dataclass(frozen=True, slots=True)
class ActorKind:
    """What the actors of one step run.

    name, unit (in the plural): for people. maker: a ShardMaker class. work: the first argument of its constructor, the
    same for all actors. dies_hint: the advice that is printed when an actor's process dies again and again.
    """

    name: str
    unit: str
    maker: type
    work: Any
    dies_hint: str


@dataclass(frozen=True, slots=True)
class ActorPlan:
    """workers: how many actors run at a time. threads, num_cpus, num_gpus: what each of them gets."""

    workers: int
    threads: int
    num_cpus: float
    num_gpus: float


@dataclass(slots=True)
class ShardTally:
    """The totals of a step.

    shards, units, rows, bytes: of the shards that were finished. seconds: of each part, summed over the actors.
    failed: (shard, reason). assets_failed: how many assets were left out. interrupted: whether it was asked to stop.
    """

    shards: int = 0
    units: int = 0
    rows: int = 0
    bytes: int = 0
    seconds: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[int, str]] = field(default_factory=list)
    assets_failed: int = 0
    interrupted: bool = False


def plan_actors(machine: Machine, is_network: bool, device: str, workers: int | None) -> ActorPlan:
    """Divide a machine among actors.

    Networks get one actor for each GPU, or a single actor where there is none; other work gets one for each core.
    Raises SceneGenError when CUDA is asked for and Ray sees no GPU.
    """
    cpus = max(machine.cpus, 1)
    if is_network and device == "cuda" and not machine.gpus:
        raise SceneGenError("device cuda was asked for, but Ray sees no GPU here; check nvidia-smi or use --device cpu")
    use_gpus = is_network and device != "cpu" and machine.gpus > 0
    fitting = machine.gpus if use_gpus else 1 if is_network else cpus
    count = min(workers or fitting, cpus)
    share = (1.0 if count <= machine.gpus else 1.0 / -(-count // machine.gpus)) if use_gpus else 0.0
    return ActorPlan(count, max(1, cpus // count), cpus / count, share)


def run_step(
    kind: ActorKind,
    plan: Callable[[Machine], ActorPlan],
    pieces: Sequence[HasShard],
    job: JobConfig,
    stop: threading.Event,
    log_json: Path | None = None,
) -> ShardTally:
    """Have the pieces made on this machine or on the job's cluster, and tell how it goes. Raises like `make_shards`."""
    # The handlers are set twice, because ray.init takes SIGTERM for itself.
    with stop_on_signal(stop), ray_session(job, stop) as machine, stop_on_signal(stop):
        progress = StepProgress(kind.name, kind.unit, log_json)
        tally = make_shards(kind, plan(machine), pieces, progress.on_event, stop)
    if tally.units:
        progress.say(progress.summary(tally.units, tally.bytes / max(tally.rows, 1), tally.seconds))
    return tally


def make_shards(
    kind: ActorKind, plan: ActorPlan, pieces: Sequence[HasShard], on_event: OnEvent, stop: threading.Event
) -> ShardTally:
    """Have the pieces made. Ray must be initialised.

    Raises SceneGenError for what stops every shard: an actor that cannot open what it needs, a full disk.
    """
    return _Run(kind, plan, pieces, on_event, stop).run()


class _CannotBeginError(Exception):
    """What an actor holds could not be opened, so that no shard can be made."""


class _LateMaker:
    """Opens the maker when its first shard comes: Ray keeps only the text of an error in an actor's constructor."""

    def __init__(self, maker: type, work: Any, threads: int) -> None:
        self._open = partial(maker, work, threads)
        self._maker: Any = None

    def make(self, piece: Any) -> Iterator[Event]:
        if self._maker is None:
            self._maker = self._opened()
        yield from self._maker.make(piece)

    def _opened(self) -> Any:
        try:
            return self._open()
        except SceneGenError as error:
            raise _CannotBeginError(str(error)) from None
        except Exception as error:
            raise _CannotBeginError(f"does not load: {traceback.format_exc(limit=-4)}") from error


class _Run:
    """One run of one kind of actor over some shards."""

    def __init__(
        self, kind: ActorKind, plan: ActorPlan, pieces: Sequence[HasShard], on_event: OnEvent, stop: threading.Event
    ) -> None:
        self._kind, self._plan, self._on_event, self._stop = kind, plan, on_event, stop
        self._waiting = deque(pieces)
        self._tries: Counter[int] = Counter()
        self._tally = ShardTally()
        self._made_any = False
        self._running: dict[ray.ObjectRefGenerator, tuple[ray.actor.ActorHandle, HasShard]] = {}

    def run(self) -> ShardTally:
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
        named = type(self._kind.maker.__name__, (_LateMaker,), {})  # the name is what `ps` and Ray show
        remote: Any = ray.remote(num_cpus=self._plan.num_cpus, num_gpus=self._plan.num_gpus)(named)
        return remote.remote(self._kind.maker, self._kind.work, self._plan.threads)

    def _start(self, actor: ray.actor.ActorHandle) -> None:
        """Give an actor the next shard; an actor without work is ended."""
        if not self._waiting:
            ray.kill(actor)
            return
        piece = self._waiting.popleft()
        self._running[actor.make.options(num_returns="streaming").remote(piece)] = (actor, piece)

    def _step(self, events: ray.ObjectRefGenerator) -> None:
        actor, piece = self._running[events]
        try:
            event = ray.get(next(events))
        except StopIteration:
            del self._running[events]
            self._start(actor)
        except ray.exceptions.RayTaskError as error:
            del self._running[events]
            if isinstance(error.cause, WorkerKilledError):
                ray.kill(actor)
                self._died(piece)
            else:
                self._failed(piece, error)
                self._start(actor)
        except ray.exceptions.RayActorError:
            del self._running[events]
            self._died(piece)
        else:
            self._count(event)

    def _count(self, event: Event) -> None:
        if event["event"] == "done":
            self._tally.shards += 1
            self._tally.units += event["units"]
            self._tally.rows += event["rows"]
            self._tally.bytes += event["bytes"]
            self._tally.seconds.update(event["seconds"])
        self._made_any |= event["event"] == "progress"
        self._on_event(event)
        if event["event"] == "failed_asset":
            self._tally.assets_failed += 1
            if self._tally.assets_failed >= _HOPELESS_AFTER and not self._made_any:
                raise SceneGenError(
                    f"{self._kind.name}: the first {self._tally.assets_failed} assets all failed, so the others were "
                    f"not tried. Reason: {event['reason']}"
                )

    def _failed(self, piece: HasShard, error: ray.exceptions.RayTaskError) -> None:
        cause = error.cause
        if isinstance(cause, CannotStoreError | DoesNotStartError):
            raise cause from None
        if isinstance(cause, _CannotBeginError):
            raise SceneGenError(str(cause)) from None
        reason = str(cause) if isinstance(cause, SceneGenError) else f"{type(cause).__name__}: {cause}"
        self._record(piece, reason)

    def _died(self, piece: HasShard) -> None:
        """The actor's process is gone, or its child is killed again and again: another actor tries the shard."""
        self._tries[piece.shard] += 1
        if self._tries[piece.shard] < _TRIES:
            self._waiting.appendleft(piece)
        else:
            self._record(piece, f"its worker died {_TRIES} times; {self._kind.dies_hint}")
        if self._waiting:
            self._start(self._actor())

    def _record(self, piece: HasShard, reason: str) -> None:
        self._tally.failed.append((piece.shard, reason))
        self._on_event({"event": "failed_shard", "shard": piece.shard, "reason": reason})
