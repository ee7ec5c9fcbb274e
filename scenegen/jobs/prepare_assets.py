"""Prepare a whole collection with Ray: one asset at a time on each core, resumable, made for 180K assets.

Each worker is an actor that keeps Blender and CoACD warm in killable children, so an asset that hangs or crashes costs
itself only. What is done is known from two ledgers of one JSON line an asset (prepared.jsonl and quarantine.jsonl),
which only the driver writes; the manifest is made from them at the end of every run, also an interrupted one.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from pathlib import Path

from scenegen.assets.files import MANIFEST
from scenegen.assets.manifest import AssetRecord, write_manifest
from scenegen.assets.prepare import PrepareOptions, prepare_asset
from scenegen.assets.quarantine import Quarantined, append_line, append_quarantined, read_quarantined
from scenegen.assets.sources.raw import RawAsset
from scenegen.errors import AssetError, SceneGenError
from scenegen.jobs.asset_tools import ChildTools, TimeLimits
from scenegen.jobs.restarts import WorkerKilledError

LEDGER, QUARANTINE = "prepared.jsonl", "quarantine.jsonl"
IN_FLIGHT_PER_WORKER = 2
WAIT_S = 0.5
HOPELESS_AFTER = 10


@dataclass(frozen=True, slots=True)
class PrepareJob:
    """store: the folder to fill. retry_quarantined: try again what was refused before."""

    store: Path
    options: PrepareOptions = field(default_factory=PrepareOptions)
    limits: TimeLimits = field(default_factory=TimeLimits)
    workers: int = 1
    retry_quarantined: bool = False


@dataclass(slots=True)
class Tally:
    """What happened in a run. reasons: why assets were refused, shortened to their kind."""

    prepared: int = 0
    quarantined: int = 0
    skipped: int = 0
    interrupted: bool = False
    reasons: Counter[str] = field(default_factory=Counter)


class Preparer:
    """Prepares assets one after the other in one process; a Ray actor, or used as it is."""

    def __init__(self, store: Path, options: PrepareOptions, limits: TimeLimits) -> None:
        self._store, self._options = store, options
        self._tools = ChildTools(limits)

    def prepare(self, raw: RawAsset) -> AssetRecord | Quarantined:
        try:
            return prepare_asset(raw, self._store, self._tools, self._options)
        except AssetError as error:
            return Quarantined(raw.uid, raw.source, raw.archive or raw.path, error.reason)

    def close(self) -> None:
        self._tools.__exit__()


def prepare_collection(
    assets: Iterable[RawAsset],
    job: PrepareJob,
    stop: threading.Event,
    on_result: Callable[[AssetRecord | Quarantined], None] = lambda result: None,
) -> Tally:
    """Prepare what the ledgers do not hold yet. Ray must be initialised. Write the manifest, also when stopped."""
    job.store.mkdir(parents=True, exist_ok=True)
    prepared = read_ledger(job.store)
    refused = {} if job.retry_quarantined else read_quarantined(job.store / QUARANTINE)
    tally = Tally()

    def wanted() -> Iterator[RawAsset]:
        for raw in assets:
            if raw.uid in prepared or raw.uid in refused:
                tally.skipped += 1
            else:
                yield raw

    for result in _in_parallel(wanted(), job, stop):
        if isinstance(result, AssetRecord):
            append_line(job.store / LEDGER, json.dumps(asdict(result), ensure_ascii=False))
            prepared[result.uid] = result
            tally.prepared += 1
        else:
            append_quarantined(job.store / QUARANTINE, result)
            tally.quarantined += 1
            tally.reasons[result.reason.split(":")[0][:60]] += 1
        on_result(result)
    tally.interrupted = stop.is_set()
    write_manifest(job.store / MANIFEST, prepared.values())
    return tally


def read_ledger(store: Path) -> dict[str, AssetRecord]:
    """What is prepared and still there: lines whose file exists with its size. A line cut short is ignored."""
    records = {}
    path = store / LEDGER
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            raw = json.loads(line)
            record = AssetRecord(**{**raw, "extents": tuple(raw["extents"])})
        except (json.JSONDecodeError, TypeError, KeyError):
            continue
        file = store / record.file
        if file.is_file() and file.stat().st_size == record.bytes:
            records[record.uid] = record
    return records


def _in_parallel(
    assets: Iterator[RawAsset], job: PrepareJob, stop: threading.Event
) -> Iterator[AssetRecord | Quarantined]:
    """Results as they come. Few assets are in flight, so neither Ray nor the driver grows with the collection."""
    import ray

    remote = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=3)(Preparer)
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
                    yield ray.get(reference)
                    killed = 0
                except ray.exceptions.RayActorError as error:
                    yield Quarantined(raw.uid, raw.source, raw.path, f"its worker died again and again ({error})"[:200])
                except ray.exceptions.RayTaskError as error:
                    killed += 1
                    if not isinstance(error.cause, WorkerKilledError) or killed >= HOPELESS_AFTER:
                        raise error.cause if isinstance(error.cause, SceneGenError) else error from None
                    assets = chain([raw], assets)
                feed(worker)
    finally:
        for actor in actors:
            ray.kill(actor)  # its children die with it
