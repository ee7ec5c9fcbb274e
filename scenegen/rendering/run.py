"""`scenegen render` from beginning to end: whose shards, what is missing, make it, merge, say how it went."""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from scenegen.config import DatasetConfig, JobConfig
from scenegen.contract.storage import Root
from scenegen.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_TOO_MANY_FAILURES, SceneGenError
from scenegen.jobs.assignment import resolve_assignment
from scenegen.jobs.cluster import ray_session
from scenegen.jobs.resources import WorkerPlan, plan_workers
from scenegen.jobs.restarts import WorkerKilledError
from scenegen.jobs.run_result import RunResult
from scenegen.jobs.signals import stop_on_signal
from scenegen.planning.forecast import Forecast
from scenegen.planning.plan import measured_costs
from scenegen.rendering.progress import Progress
from scenegen.rendering.supervisor import WORKER_COMMAND
from scenegen.shards.config_file import StoredConfig, begin, refuse_other
from scenegen.shards.ledger import ShardLedger, finished_shard
from scenegen.shards.merge import merge
from scenegen.shards.spool import SPOOL, discard_failed
from scenegen.shards.writer import reopen_failed

_LOOKS_AT_ONCE = 16
_WORTH_A_FORECAST_PX = 20 * 1024**2  # pixels in all; fewer take hardly longer than the trial scenes


def render(
    root: Root,
    stored: StoredConfig,
    job: JobConfig,
    log_json: Path | None = None,
    command: Sequence[str] = WORKER_COMMAND,
) -> RunResult:
    """Make this process's share of a dataset, and merge it when it is complete.

    Raises UsageError for a folder that holds something else, SceneGenError for what stops every scene.
    """
    config = stored.config
    assignment = resolve_assignment(job.array, os.environ)
    shards = assignment.shards(config.num_shards)
    refuse_other(root, stored)
    with Progress(_scenes(config, shards), log_json) as progress:
        progress.say(assignment.describe(config.num_shards))
        missing = _missing_shards(root, stored, shards, job.retry_failed)
        progress.skip(_scenes(config, shards) - _scenes(config, missing))
        if missing:
            share = _Share(root, stored, job, missing, command, is_whole=assignment.count == 1)
            interrupted = share.make(progress)
            progress.say(progress.summary())
            if interrupted:
                return RunResult(EXIT_INTERRUPTED, "stopped as asked; run the same command again to go on")
        return _conclude(root, config, job, shards, progress)


@dataclass(frozen=True, slots=True)
class _Share:
    """The shards that this process has to make. is_whole: nobody else makes others."""

    root: Root
    stored: StoredConfig
    job: JobConfig
    missing: Sequence[int]
    command: Sequence[str]
    is_whole: bool

    def make(self, progress: Progress) -> bool:
        """True if the run was asked to stop before the end."""
        stop = threading.Event()
        stored = self.stored
        with stop_on_signal(stop), ray_session(self.job, stop) as machine:
            from scenegen.rendering.engine import Work, run_shards

            with stop_on_signal(stop):  # ray.init takes SIGTERM for itself
                plan = plan_workers(machine, stored.config, self.job)
                begin(self.root, stored)  # not before it is known that this machine can do what was asked
                progress.say(_describe(plan))
                job = self._within_forecast(plan, progress)
                work = Work(self.root.address, stored.config, stored.meta, job, plan, self.command)
                return run_shards(work, self.missing, progress.on_event, stop).interrupted

    def _within_forecast(self, plan: WorkerPlan, progress: Progress) -> JobConfig:
        """Say what it will take, where that costs a small part of the time and nobody else says it.

        Returns the job with the time limit that the forecast asks for, where none was given.
        Raises SceneGenError if scenes are going to take longer than the limit that was given.
        """
        scenes, camera = _scenes(self.stored.config, self.missing), self.stored.config.camera
        if not self.is_whole or scenes * camera.num_views * camera.resolution_px**2 < _WORTH_A_FORECAST_PX:
            return self.job
        rest = replace(self.stored.config, num_scenes=scenes)
        try:
            costs = measured_costs(rest, self.job, plan, progress.say)
        except WorkerKilledError as error:  # a machine short of memory for a moment is no reason to end here
            progress.say(f"no forecast: {error}")
            return self.job
        forecast = Forecast.of(rest, plan, costs)
        progress.say(forecast.describe())
        if self.job.scene_timeout_s is None:
            return replace(self.job, scene_timeout_s=forecast.scene_timeout_s)
        if forecast.seconds > self.job.scene_timeout_s:
            raise SceneGenError(forecast.timeout_advice(self.job.scene_timeout_s))
        return self.job


def _scenes(config: DatasetConfig, shards: Sequence[int]) -> int:
    return sum(len(config.shard_scenes(shard)) for shard in shards)


def _missing_shards(root: Root, stored: StoredConfig, shards: Sequence[int], retry_failed: bool) -> list[int]:
    """Shards to be made. With retry_failed also those with failed scenes: what was good is in the spool again."""
    with ThreadPoolExecutor(_LOOKS_AT_ONCE) as pool:
        ledgers = [*pool.map(lambda shard: finished_shard(root, stored.config, shard), shards)]
    missing = []
    for shard, ledger in zip(shards, ledgers, strict=True):
        if ledger is None:
            missing.append(shard)
            if retry_failed:
                discard_failed(root, stored.meta, shard)
        elif retry_failed and ledger.failed:
            missing.append(shard)
            reopen_failed(root, stored.config, stored.meta, ledger)
    return missing


def _conclude(
    root: Root, config: DatasetConfig, job: JobConfig, shards: Sequence[int], progress: Progress
) -> RunResult:
    """Merge if all is there, and judge the share of failures among the shards of this process."""
    with ThreadPoolExecutor(_LOOKS_AT_ONCE) as pool:
        ledgers = [*pool.map(lambda shard: finished_shard(root, config, shard), range(config.num_shards))]
    finished = [ledger for ledger in ledgers if ledger]
    if len(finished) == config.num_shards:
        merge(root, config, finished)
        root.remove_folder(SPOOL)  # scenes that another worker made as well
        progress.say(f"{root.location} is complete: {config.num_shards} shards, {config.num_scenes} scenes")
    else:
        progress.say(f"{len(finished)} of {config.num_shards} shards are finished; the last task to end merges them")
    return _judge([ledger for shard in shards if (ledger := ledgers[shard])], job)


def _judge(mine: Sequence[ShardLedger], job: JobConfig) -> RunResult:
    failed = [entry for ledger in mine for entry in ledger.failed]
    scenes = sum(ledger.counts["scenes"] for ledger in mine)
    if scenes and len(failed) / scenes > job.max_failed:
        return RunResult(
            EXIT_TOO_MANY_FAILURES,
            f"{len(failed)} of {scenes} scenes failed, more than --max-failed {job.max_failed:g}; the first: scene "
            f"{failed[0][0]}: {failed[0][1]}. Mend the cause, then run again with --retry-failed",
        )
    return RunResult(EXIT_DONE, f"done, {len(failed)} failed scenes" if failed else "done")


def _describe(plan: WorkerPlan) -> str:
    workers = f"{plan.workers} worker{'s' if plan.workers > 1 else ''}"
    each = f"{plan.threads} thread{'s' if plan.threads > 1 else ''}"
    gpu = f" and {plan.num_gpus:g} GPU" if plan.num_gpus else ""
    return f"{workers} with {each}{gpu} each"
