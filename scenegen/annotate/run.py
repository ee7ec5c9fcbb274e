"""`scenegen annotate` from beginning to end: find what is missing, make it, and report how good the maps are."""

import contextlib
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from scenegen.annotate.actor import AnnotateWork, Annotator
from scenegen.annotate.manifest import SIMULATED, EstimatorRecord, choose_estimators
from scenegen.annotate.options import EstimatorOptions, settings_of
from scenegen.annotate.report import error_table
from scenegen.annotate.weights import MissingWeightsError, Weights, fetch, parse_overrides, require
from scenegen.config import JobConfig
from scenegen.contract.dataset import how_to_make
from scenegen.contract.sidecar import EstimatorMeta
from scenegen.contract.storage import Root
from scenegen.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_TOO_MANY_FAILURES, UsageError
from scenegen.jobs.assignment import Assignment
from scenegen.jobs.cluster import ray_session
from scenegen.jobs.reporting import RunResult, say
from scenegen.shards.sidecars import missing_shards, sidecar_files

if TYPE_CHECKING:
    from scenegen.jobs.shard_actors import ShardTally


def check_estimators(names: str, weights: Sequence[str] = (), download: bool = False) -> dict[str, Weights]:
    """Find the weights of every estimator that a command will run; called before anything is computed.

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
    assignment: Assignment,
    *,
    download: bool = False,
    workers: int | None = None,
    ray_address: str | None = None,
    log_json: Path | None = None,
) -> RunResult:
    """Make the missing sidecars of this process's share of the shards, one estimator after the other.

    Raises UsageError or MissingWeightsError before anything is computed, SceneGenError for what stops every shard.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"--workers is {workers}; give auto or at least 1")
    records = choose_estimators(names)
    root = Root.open(data).to_write()
    shards = [file.shard for file in sidecar_files(root, SIMULATED)]
    if not shards:
        raise FileNotFoundError(f"{data} holds no finished shard; make some with: {how_to_make(root)}")
    found = check_estimators(names, weights, download)
    say(assignment.describe(max(shards) + 1))
    mine = [shard for shard in shards if shard % assignment.count == assignment.index]
    stop = threading.Event()
    failed = 0
    job = JobConfig(workers=workers, ray_address=ray_address)
    with contextlib.ExitStack() as session:
        for record in records:
            weights_here = found.get(record.name)
            meta = sidecar_meta(record, weights_here, options)
            work = AnnotateWork(root.address, record, weights_here, meta, options)
            tally = _run_estimator(work, mine, job, stop, log_json, session)
            failed += len(tally.failed) if tally else 0
            if tally and tally.interrupted:
                return RunResult(EXIT_INTERRUPTED, "stopped as asked; run the same command again to go on")
    table = error_table(root, [record.name for record in records])
    if failed:
        return RunResult(EXIT_TOO_MANY_FAILURES, f"{table}\n{failed} sidecars failed; mend the cause, run again")
    return RunResult(EXIT_DONE, table)


def _run_estimator(
    work: AnnotateWork,
    shards: Sequence[int],
    job: JobConfig,
    stop: threading.Event,
    log_json: Path | None,
    session: contextlib.ExitStack,
) -> "ShardTally | None":
    """Run one estimator over this process's shards; None if nothing is missing. session: Ray is entered when needed."""
    record, meta = work.record, work.meta
    files = missing_shards(Root.open(work.location), record.name, meta, shards)
    licence = "" if record.commercial_use else f"; weights not for commercial use ({meta.weights_licence})"
    say(f"{record.name}: {len(files)} of {len(shards)} shards to do{licence}")
    if not files:
        return None
    session.enter_context(ray_session(job, stop))  # later estimators use the Ray of the first
    from scenegen.jobs.shard_actors import ActorKind, plan_actors, run_step

    kind = ActorKind(
        record.name, "views", Annotator, work, f"try: scenegen annotate --data {work.location} --batch-size 1"
    )
    plan = partial(plan_actors, is_network=record.needs_weights, device=work.options.device, workers=job.workers)
    return run_step(kind, plan, files, job, stop, log_json)


def sidecar_meta(record: EstimatorRecord, weights: Weights | None, options: EstimatorOptions) -> EstimatorMeta:
    """The metadata of a run's sidecars. Reads the weights once, for their sha256.

    Raises MissingWeightsError for weights whose sha256 is not that of the manifest.
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
