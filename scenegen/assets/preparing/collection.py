"""Prepares a whole collection with Ray: one asset at a time on each core, resumable, designed for 180K assets.

Each worker is an actor that keeps Blender and CoACD running in killable children, so that an asset that hangs or
crashes affects no other. Two ledgers with one JSON line for each asset (prepared.jsonl and quarantine.jsonl) say what
is done. Only the driver writes them. The manifest is made from them at the end of every run, also of an interrupted
one.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from scenegen.assets.files import MANIFEST
from scenegen.assets.manifest import AssetRecord, write_manifest
from scenegen.assets.preparing.asset import PrepareOptions, prepare_asset
from scenegen.assets.preparing.child_tools import ChildTools, TimeLimits
from scenegen.assets.preparing.ledgers import (
    QUARANTINE,
    Prepared,
    Quarantined,
    append_prepared,
    append_quarantined,
    read_prepared,
    read_quarantined,
)
from scenegen.assets.sources.raw import RawAsset
from scenegen.errors import AssetError, SceneGenError
from scenegen.jobs.restarts import WorkerKilledError

IN_FLIGHT_PER_WORKER = 2
WAIT_S = 0.5
HOPELESS_AFTER = 10


@dataclass(frozen=True, slots=True)
class PrepareJob:
    """store: the folder to fill. workers: actors at a time. retry_quarantined: try again what was refused before."""

    store: Path
    options: PrepareOptions = field(default_factory=PrepareOptions)
    limits: TimeLimits = field(default_factory=TimeLimits)
    workers: int = 1
    retry_quarantined: bool = False


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A model that is the same as an earlier one of this run. label, of: both by the names that the user knows."""

    label: str
    of: str


@dataclass(slots=True)
class Tally:
    """What happened in a run: inputs = prepared + refused + duplicates + done_before + unfinished.

    inputs: models read from the collection. refused_by_kind: the refused files by the kind of fault. done_before:
    models that the ledgers know; kept_uids of them have a uid of the older rule. unfinished: being prepared when the
    run was stopped.
    """

    inputs: int = 0
    prepared: int = 0
    duplicates: int = 0
    done_before: int = 0
    kept_uids: int = 0
    unfinished: int = 0
    interrupted: bool = False
    refused_by_kind: dict[str, list[str]] = field(default_factory=dict)

    @property
    def refused(self) -> int:
        return sum(map(len, self.refused_by_kind.values()))


class Preparer:
    """Prepares assets one after the other in one process; used as a Ray actor, or directly."""

    def __init__(self, store: Path, options: PrepareOptions, limits: TimeLimits) -> None:
        self._store, self._options = store, options
        self._tools = ChildTools(limits)

    def prepare(self, raw: RawAsset) -> AssetRecord | Quarantined:
        try:
            return prepare_asset(raw, self._store, self._tools, self._options)
        except AssetError as error:
            return _refused(raw, error.reason)

    def close(self) -> None:
        self._tools.__exit__()


def prepare_collection(
    assets: Iterable[RawAsset],
    job: PrepareJob,
    stop: threading.Event,
    on_result: Callable[[AssetRecord | Quarantined | Duplicate], None] = lambda result: None,
) -> Tally:
    """Prepare the assets that the ledgers do not know yet, and write the manifest, also if stopped.

    Ray must be initialised. stop: set it to end the run. on_result: is called with each result.
    Raises SceneGenError for an error that every asset would meet.
    """
    job.store.mkdir(parents=True, exist_ok=True)
    known = _Known(job)
    tally = Tally()
    for raw, result in _in_parallel(_wanted(assets, known, tally, on_result), job, stop):
        if isinstance(result, AssetRecord):
            entry = Prepared(result, raw.label)
            append_prepared(job.store, entry)
            known.prepared[result.uid] = entry
            tally.prepared += 1
        else:
            append_quarantined(job.store / QUARANTINE, result)
            tally.refused_by_kind.setdefault(result.reason.split(":")[0][:60], []).append(result.shown)
        on_result(result)
    tally.interrupted = stop.is_set()
    tally.unfinished = tally.inputs - tally.prepared - tally.refused - tally.duplicates - tally.done_before
    write_manifest(job.store / MANIFEST, [entry.record for entry in known.prepared.values()])
    return tally


def _wanted(
    assets: Iterable[RawAsset], known: "_Known", tally: Tally, on_duplicate: Callable[[Duplicate], None]
) -> Iterator[RawAsset]:
    """The models to prepare: neither done before nor repeated in this run. Counts all of them in `tally`."""
    first: dict[str, str] = {}
    for raw in assets:
        tally.inputs += 1
        if raw.uid in first:
            tally.duplicates += 1
            on_duplicate(Duplicate(raw.shown, first[raw.uid]))
            continue
        first[raw.uid] = raw.shown
        kept = known.takes_older_uid(raw)
        if kept or raw.uid in known.prepared or raw.uid in known.refused:
            tally.done_before += 1
            tally.kept_uids += kept
        else:
            yield raw


class _Known:
    """What a store's ledgers say at the start of a run."""

    def __init__(self, job: PrepareJob) -> None:
        self.prepared = read_prepared(job.store)
        self.refused = {} if job.retry_quarantined else read_quarantined(job.store / QUARANTINE)
        self._older = {uid: entry.record.name for uid, entry in self.prepared.items() if not entry.identity}

    def takes_older_uid(self, raw: RawAsset) -> bool:
        """Whether an asset of the older rule, whose uid was the sha256 of the model file alone, was made from this
        model.

        Of several models with equal files the older rule prepared the first, in the same order as now. So the first
        keeps that asset, once, and the others are prepared under uids of their own.
        """
        if not raw.file_sha256 or self._older.get(raw.file_sha256) != raw.name:
            return False
        del self._older[raw.file_sha256]
        return True


def _refused(raw: RawAsset, reason: str) -> Quarantined:
    return Quarantined(raw.uid, raw.source, raw.archive or raw.path, reason, raw.label)


def _in_parallel(
    assets: Iterator[RawAsset], job: PrepareJob, stop: threading.Event
) -> Iterator[tuple[RawAsset, AssetRecord | Quarantined]]:
    """Results as they become ready. Few assets are in flight: neither Ray nor the driver grows with them."""
    import ray

    remote: Any = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=3)(Preparer)
    actors = [remote.remote(job.store.resolve(), job.options, job.limits) for _ in range(job.workers)]
    running: dict[ray.ObjectRef, tuple[int, RawAsset]] = {}
    killed = 0  # assets in a row whose processes were killed as they started; they are tried again

    def feed(worker: int, count: int = 1) -> None:
        for raw in islice(assets, count) if not stop.is_set() else ():
            running[actors[worker].prepare.remote(raw)] = (worker, raw)

    try:
        for worker in range(len(actors)):
            feed(worker, IN_FLIGHT_PER_WORKER)
        while running and not stop.is_set():
            done, _ = ray.wait(list(running), timeout=WAIT_S)
            for reference in done:
                worker, raw = running.pop(reference)
                try:
                    yield raw, ray.get(reference)
                    killed = 0
                except ray.exceptions.RayActorError as error:
                    yield raw, _refused(raw, f"its worker died again and again ({error})"[:200])
                except ray.exceptions.RayTaskError as error:
                    killed += 1
                    if not isinstance(error.cause, WorkerKilledError) or killed >= HOPELESS_AFTER:
                        raise error.cause if isinstance(error.cause, SceneGenError) else error from None
                    assets = chain([raw], assets)
                feed(worker)
    finally:
        for actor in actors:
            ray.kill(actor)  # its children die with it
