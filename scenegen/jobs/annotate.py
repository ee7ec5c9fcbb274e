"""`scenegen annotate` from beginning to end: what is missing, who does it, and how good the maps are."""

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scenegen.annotate.manifest import SIMULATED, EstimatorRecord, choose_estimators
from scenegen.annotate.options import EstimatorOptions, settings_of
from scenegen.annotate.report import error_table
from scenegen.annotate.weights import MissingWeightsError, Weights, fetch, parse_overrides, require
from scenegen.config import JobConfig
from scenegen.contract.sidecar import EstimatorMeta
from scenegen.contract.storage import Root
from scenegen.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_TOO_MANY_FAILURES, UsageError
from scenegen.jobs.assignment import resolve_assignment
from scenegen.jobs.cluster import ray_session
from scenegen.jobs.signals import stop_on_signal
from scenegen.shards.sidecars import missing_shards, sidecar_files

if TYPE_CHECKING:
    from scenegen.jobs.annotate_shards import AnnotateTally, Event

_LINE_EVERY_S = 15.0


@dataclass(frozen=True, slots=True)
class AnnotateResult:
    """How a run ended. exit_code: see scenegen.errors."""

    exit_code: int
    summary: str


def check_estimators(names: str, weights: Sequence[str] = (), download: bool = False) -> dict[str, Weights]:
    """What a command calls before it begins: the weights of every estimator that it will run.

    Raises UsageError for an unknown name, MissingWeightsError naming all that is missing and how to get it.
    """
    records = choose_estimators(names)
    overrides = parse_overrides(weights)
    unknown = overrides.keys() - {record.name for record in records}
    if unknown:
        raise UsageError(f"--weights names {', '.join(sorted(unknown))}, which --estimators does not")
    if download:
        for record in records:
            fetch(record, overrides.get(record.name))
    return require(records, overrides)


def annotate(
    data: str,
    names: str,
    weights: Sequence[str],
    options: EstimatorOptions,
    *,
    download: bool = False,
    workers: int | None = None,
    array: str = "auto",
    ray_address: str | None = None,
    log_json: Path | None = None,
) -> AnnotateResult:
    """Make the missing sidecars of this process's share of the shards, one estimator after the other.

    Raises UsageError, MissingWeightsError before anything is computed, SceneGenError for what stops every shard.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"--workers is {workers}; give auto or at least 1")
    records = choose_estimators(names)
    found = check_estimators(names, weights, download)
    root = Root.open(data)
    shards = [file.shard for file in sidecar_files(root, SIMULATED)]
    if not shards:
        raise FileNotFoundError(f"{data} holds no finished shard; make one with: scenegen render")
    assignment = resolve_assignment(array, os.environ)
    _say(assignment.describe(max(shards) + 1))
    mine = [shard for shard in shards if shard % assignment.count == assignment.index]
    stop = threading.Event()
    failed = 0
    job = JobConfig(workers=workers, ray_address=ray_address)
    for record in records:
        run = _EstimatorRun(root, record, found.get(record.name), options, log_json)
        tally = run.run(mine, job, stop)
        failed += len(tally.failed) if tally else 0
        if tally and tally.interrupted:
            return AnnotateResult(EXIT_INTERRUPTED, "stopped as asked; run the same command again to go on")
    table = error_table(root, [record.name for record in records])
    if failed:
        return AnnotateResult(EXIT_TOO_MANY_FAILURES, f"{table}\n{failed} sidecars failed; mend the cause, run again")
    return AnnotateResult(EXIT_DONE, table)


class _EstimatorRun:
    """One estimator over this process's shards, with lines for people and JSON for machines."""

    def __init__(
        self,
        root: Root,
        record: EstimatorRecord,
        weights: Weights | None,
        options: EstimatorOptions,
        log_json: Path | None,
    ) -> None:
        self._root, self._record, self._weights, self._options = root, record, weights, options
        self._log_json = log_json
        self._views = 0
        self._started = self._last_line = time.monotonic()

    def run(self, shards: Sequence[int], job: JobConfig, stop: threading.Event) -> "AnnotateTally | None":
        """None when there is nothing to do."""
        meta = sidecar_meta(self._record, self._weights, self._options)
        files = missing_shards(self._root, self._record.name, meta, shards)
        licence = "" if self._record.commercial_use else f"; weights not for commercial use ({meta.weights_licence})"
        _say(f"{self._record.name}: {len(files)} of {len(shards)} shards to do{licence}")
        if not files:
            return None
        with stop_on_signal(stop), ray_session(job) as machine:
            from scenegen.jobs.annotate_shards import AnnotateWork, annotate_shards, plan_actors

            with stop_on_signal(stop):  # ray.init takes SIGTERM for itself
                is_network = self._record.needs_weights
                plan = plan_actors(machine, is_network, self._options.device, job.workers)
                work = AnnotateWork(self._root.location, self._record, self._weights, meta, self._options)
                self._started = time.monotonic()
                tally = annotate_shards(work, plan, files, self._on_event, stop)
        self._say_rate(tally)
        return tally

    def _on_event(self, event: "Event") -> None:
        if self._log_json:
            with self._log_json.open("a") as log:
                log.write(json.dumps({"time": time.time(), "estimator": self._record.name, **event}) + "\n")
        if event["event"] == "failed_sidecar":
            _say(f"{self._record.name}: shard {event['shard']} failed: {event['reason']}")
        elif event["event"] == "scene":
            self._views += event["views"]
            now = time.monotonic()
            if now - self._last_line > _LINE_EVERY_S:
                self._last_line = now
                _say(f"{self._record.name}: {self._views} views, {self._views / (now - self._started):.3g} views/s")

    def _say_rate(self, tally: "AnnotateTally") -> None:
        elapsed = max(time.monotonic() - self._started, 1e-6)
        if not tally.views:
            return
        steps = ", ".join(f"{name} {1000 * value / tally.views:.0f} ms" for name, value in tally.seconds.items())
        _say(
            f"{self._record.name}: {tally.views} views in {elapsed:.1f} s ({tally.views / elapsed:.3g} views/s; "
            f"a view: {steps}), {tally.bytes / max(tally.views, 1) / 1000:.0f} kB a row"
        )


def sidecar_meta(record: EstimatorRecord, weights: Weights | None, options: EstimatorOptions) -> EstimatorMeta:
    """What the sidecars of a run say of their estimator. Reads the weights once, for their sha256.

    Raises MissingWeightsError for weights that are not what the manifest promises.
    """
    settings = settings_of(record.name, options)
    if weights is None:
        return record.meta("", "", settings, record.title)
    sha256 = weights.sha256()
    if record.sha256 and weights.weights_id == record.hub_id and sha256 != record.sha256:
        raise MissingWeightsError(
            f"{weights.file} has sha256 {sha256[:12]}..., the manifest says {record.sha256[:12]}...; it is damaged or "
            f"another version. Remove it and fetch it again, or give --weights {record.name}=PATH to use it anyway"
        )
    return record.meta(weights.revision, sha256, settings, weights.weights_id)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
