"""The scenes of a dataset from beginning to end: find the missing shards, make them, merge, judge the failures."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scenegen.config import DatasetConfig, JobConfig
from scenegen.contract.storage import Root
from scenegen.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_TOO_MANY_FAILURES, SceneGenError
from scenegen.jobs.assignment import Assignment
from scenegen.jobs.cluster import ray_session
from scenegen.jobs.reporting import RunResult
from scenegen.jobs.resources import WorkerPlan, plan_workers
from scenegen.jobs.restarts import WorkerKilledError
from scenegen.jobs.signals import stop_on_signal
from scenegen.rendering.progress import Progress
from scenegen.rendering.supervisor import WORKER_COMMAND
from scenegen.shards.config_file import StoredConfig, begin_dataset
from scenegen.shards.ledger import finished_shards
from scenegen.shards.merge import merge_if_complete
from scenegen.shards.spool import SPOOL, discard_failed
from scenegen.shards.writer import reopen_failed

_WORTH_A_FORECAST_PX = 20 * 1024**2  # pixels in all; fewer take hardly longer than the trial scenes


@dataclass(frozen=True, slots=True)
class ScenesRun:
    """Which scenes are to be made, where, by whom and how: decided and checked before the run begins.

    root: is empty or holds this dataset (`refuse_other_dataset`). stored: the dataset. assignment: the share of this
    process. log_json: a file that gets one JSON object for each event. command: starts a worker process.
    """

    root: Root
    stored: StoredConfig
    job: JobConfig
    assignment: Assignment
    log_json: Path | None = None
    command: Sequence[str] = WORKER_COMMAND

    @property
    def config(self) -> DatasetConfig:
        return self.stored.config

    @property
    def shards(self) -> range:
        """The shards of this process."""
        return self.assignment.shards(self.config.num_shards)


def render(run: ScenesRun) -> RunResult:
    """Make this process's share of a dataset, and merge the dataset when it is complete.

    Raises SceneGenError for what stops every scene, UsageError if another dataset was begun in the place meanwhile.
    """
    scenes = run.config.count_scenes(run.shards)
    with Progress(scenes, run.log_json) as progress:
        progress.say(run.assignment.describe(run.config.num_shards))
        missing = _missing_shards(run)
        progress.skip(scenes - run.config.count_scenes(missing))
        if missing:
            interrupted = _make(run, missing, progress)
            progress.say(progress.summary())
            if interrupted:
                return RunResult(EXIT_INTERRUPTED, "stopped as asked; run the same command again to go on")
        return _conclude(run, progress)


def _missing_shards(run: ScenesRun) -> list[int]:
    """Shards to be made. With retry_failed also those with failed scenes, whose good scenes go back into the spool."""
    finished = finished_shards(run.root, run.config, run.shards)
    unfinished = [shard for shard in run.shards if shard not in finished]
    if not run.job.retry_failed:
        return unfinished
    for shard in unfinished:
        discard_failed(run.root, run.stored.meta, shard)
    with_failures = [ledger for ledger in finished.values() if ledger.failed]
    for ledger in with_failures:
        reopen_failed(run.root, run.config, run.stored.meta, ledger)
    return sorted([*unfinished, *(ledger.shard for ledger in with_failures)])


def _make(run: ScenesRun, missing: Sequence[int], progress: Progress) -> bool:
    """Make these shards with Ray. True if the run was asked to stop before the end."""
    stop = threading.Event()
    with stop_on_signal(stop), ray_session(run.job, stop) as machine:
        from scenegen.rendering.engine import Work, run_shards

        with stop_on_signal(stop):  # ray.init takes SIGTERM for itself
            plan = plan_workers(machine, run.config, run.job, run.config.count_scenes(missing))
            begin_dataset(run.root, run.stored)  # not before it is known that this machine can do what was asked
            progress.say(_describe(plan))
            job = _within_forecast(run, missing, plan, progress)
            work = Work(run.root.address, run.config, run.stored.meta, job, plan, run.command)
            return run_shards(work, missing, progress.on_event, stop).interrupted


def _within_forecast(run: ScenesRun, missing: Sequence[int], plan: WorkerPlan, progress: Progress) -> JobConfig:
    """Forecast the run where that takes a small part of its time; array tasks are not forecast.

    Returns the job, with the time limit that the forecast asks for if none was given.
    Raises SceneGenError if scenes are going to take longer than the limit that was given.
    """
    job, scenes, camera = run.job, run.config.count_scenes(missing), run.config.camera
    is_whole = run.assignment.count == 1
    if not is_whole or scenes * camera.num_views * camera.resolution_px**2 < _WORTH_A_FORECAST_PX:
        return job
    from scenegen.planning.forecast import Forecast
    from scenegen.planning.plan import measured_costs

    rest = replace(run.config, num_scenes=scenes)
    try:
        costs = measured_costs(rest, job, plan, progress.say)
    except WorkerKilledError as error:  # a machine short of memory for a moment is no reason to end here
        progress.say(f"no forecast: {error}")
        return job
    forecast = Forecast.of(rest, plan, costs)
    progress.say(forecast.describe())
    if job.scene_timeout_s is None:
        return replace(job, scene_timeout_s=forecast.scene_timeout_s)
    if forecast.seconds > job.scene_timeout_s:
        raise SceneGenError(forecast.timeout_advice(job.scene_timeout_s))
    return job


def _conclude(run: ScenesRun, progress: Progress) -> RunResult:
    """Merge if every shard is finished, and judge the share of failures among the scenes of this process."""
    config = run.config
    finished = merge_if_complete(run.root, config)
    if len(finished) == config.num_shards:
        run.root.remove_folder(SPOOL)  # scenes that another worker made as well
        progress.say(f"{run.root.location} is complete: {config.num_shards} shards, {config.num_scenes} scenes")
    else:
        progress.say(f"{len(finished)} of {config.num_shards} shards are finished; the last task to end merges them")
    mine = [finished[shard] for shard in run.shards if shard in finished]
    failed = [entry for ledger in mine for entry in ledger.failed]
    scenes = sum(ledger.counts["scenes"] for ledger in mine)
    if scenes and len(failed) / scenes > run.job.max_failed:
        return RunResult(
            EXIT_TOO_MANY_FAILURES,
            f"{len(failed)} of {scenes} scenes failed, more than --max-failed {run.job.max_failed:g}; the first: scene "
            f"{failed[0][0]}: {failed[0][1]}. Mend the cause, then run again with --retry-failed",
        )
    return RunResult(EXIT_DONE, f"done, {len(failed)} failed scenes" if failed else "done")


def _describe(plan: WorkerPlan) -> str:
    workers = f"{plan.workers} worker{'s' if plan.workers > 1 else ''}"
    each = f"{plan.threads} thread{'s' if plan.threads > 1 else ''}"
    gpu = f" and {plan.num_gpus:g} GPU" if plan.num_gpus else ""
    return f"{workers} with {each}{gpu} each"
