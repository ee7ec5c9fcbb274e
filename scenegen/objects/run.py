"""`scenegen objects` from beginning to end: find the assets, make what is missing step by step, report the result."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from scenegen.config import DEFAULT_SCENE_TIMEOUT_S, JobConfig
from scenegen.contract import objects as tables
from scenegen.contract.index import parse_shard_name
from scenegen.contract.objects import StepMeta
from scenegen.contract.storage import Root
from scenegen.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_TOO_MANY_FAILURES, UsageError
from scenegen.jobs.assignment import Assignment
from scenegen.jobs.cluster import ray_session
from scenegen.jobs.reporting import RunResult, say
from scenegen.jobs.resources import Machine, plan_workers
from scenegen.jobs.shared_storage import wait_for_files
from scenegen.objects.actors import GeometryMaker, ViewsMaker
from scenegen.objects.asset_process import AssetWork
from scenegen.objects.network_actors import FeaturesMaker, LatentsMaker, NetworkWork
from scenegen.objects.options import STEPS, ObjectOptions
from scenegen.objects.step_metas import StepMetas
from scenegen.objects.steps import Toolkit
from scenegen.objects.wanted_assets import USED, WantedAssets, wanted_assets
from scenegen.shards.object_spool import SPOOL
from scenegen.shards.objects import AssetCut, ObjectShard, failures_of, is_made, read_meta, tables_of

if TYPE_CHECKING:
    from scenegen.jobs.shard_actors import ActorKind, ActorPlan

_LOOKS_AT_ONCE = 16
_LISTED = 5
_DIES_HINT = "give it more memory, or fewer --workers"


@dataclass(frozen=True, slots=True)
class ObjectsRun:
    """What is to be made, and how it is computed.

    data: the dataset whose assets are taken. out: where the tables go. assignment: the share of this process.
    assets: see `wanted_assets`. view_timeout_s: time limit of one clean render. log_json: a file that gets one JSON
    object for each event.
    """

    data: str
    out: str
    options: ObjectOptions
    tools: Toolkit
    job: JobConfig
    assignment: Assignment
    assets: str = USED
    view_timeout_s: float = DEFAULT_SCENE_TIMEOUT_S
    log_json: Path | None = None


def make_objects(run: ObjectsRun) -> RunResult:
    """Make the missing files of this process's share of the shards, one step after the other.

    Raises UsageError or ScenesMissingError before anything is made, SceneGenError for an error that every asset meets.
    """
    root = Root.open(run.out)
    wanted = wanted_assets(Root.open(run.data), run.assets)
    cut = AssetCut.of(wanted.sha256_of_uid, run.options.objects_per_shard)
    shards = cut.shards
    _refuse_other_cut(root, cut, len(shards))
    mine = [shards[number] for number in run.assignment.shards(len(shards))]
    say(f"objects: {len(cut.assets)} assets; {run.assignment.describe(len(shards))}")
    if run.job.retry_failed:
        if STEPS[0] not in run.tools.steps:
            raise UsageError(
                f"--retry-failed begins with {STEPS[0]}; scenegen objects --steps {','.join(STEPS)} has all"
            )
        _forget_failed(root, mine)
    share = _Share(run, root, wanted, cut, mine, threading.Event())
    with contextlib.ExitStack() as session:
        for step in run.tools.steps if mine else ():
            result = share.make(step, session)
            if result:
                return result
    return _conclude(run, root, len(shards), mine)


@dataclass(frozen=True, slots=True)
class _Share:
    """The shards that this process has to make. stop: is set when the process is asked to stop."""

    run: ObjectsRun
    root: Root
    wanted: WantedAssets
    cut: AssetCut
    mine: Sequence[ObjectShard]
    stop: threading.Event

    def make(self, step: str, session: contextlib.ExitStack) -> RunResult | None:
        """Make one step; returns a result only if the run ends with it. session: Ray is entered into it when needed."""
        meta = StepMetas(self.root, self.cut, self.mine, self.wanted, self.run.options, self.run.tools).meta(step)
        with ThreadPoolExecutor(_LOOKS_AT_ONCE) as pool:
            made = [*pool.map(lambda shard: is_made(self.root, shard, meta), self.mine)]
        missing = [shard for shard, done in zip(self.mine, made, strict=True) if not done]
        say(f"{step}: {len(missing)} of {len(self.mine)} shards to do")
        if not missing:
            return None
        session.enter_context(ray_session(self.run.job, self.stop))  # later steps use the Ray of the first
        from scenegen.jobs.shard_actors import run_step

        kind, plan = self._kind(step, meta), self._plan_views if step == "views" else self._plan_others(step)
        tally = run_step(kind, plan, missing, self.run.job, self.stop, self.run.log_json)
        if tally.interrupted:
            return RunResult(EXIT_INTERRUPTED, "stopped as asked; run the same command again to go on")
        if tally.failed:
            shards = ", ".join(str(shard) for shard, _ in tally.failed[:_LISTED])
            reason = f"{step}: shards {shards} failed ({tally.failed[0][1]})"
            return RunResult(EXIT_TOO_MANY_FAILURES, f"{reason}; mend the cause, then run again")
        wait_for_files(self.root, [shard.file(meta.step) for shard in missing])
        return None

    def _kind(self, step: str, meta: StepMeta) -> "ActorKind":
        from scenegen.jobs.shard_actors import ActorKind

        run, place = self.run, self.root.address
        if step in ("geometry", "views"):
            tools = AssetWork(place, self.wanted.config, run.options, meta, run.job.device, run.view_timeout_s)
            maker, unit = (GeometryMaker, "assets") if step == "geometry" else (ViewsMaker, "views")
            return ActorKind(step, unit, maker, tools, _DIES_HINT)
        extracts = step == "features" or run.tools.encoders.slat is not None
        features = meta.settings.get("features", meta.settings)
        work = NetworkWork(
            place,
            replace(run.options, visibility=features.get("visibility", run.options.visibility)),
            meta,
            torch_device(run.job.device),
            run.tools.extractor if extracts else None,
            run.tools.weights,
            run.tools.encoders.files() if step == "latents" else None,
        )
        return ActorKind(step, "assets", FeaturesMaker if step == "features" else LatentsMaker, work, _DIES_HINT)

    def _plan_views(self, machine: Machine) -> "ActorPlan":
        from scenegen.jobs.shard_actors import ActorPlan

        plan = plan_workers(machine, self.wanted.config, self.run.job)
        return ActorPlan(plan.workers, plan.threads, plan.num_cpus, plan.num_gpus)

    def _plan_others(self, step: str) -> "Callable[[Machine], ActorPlan]":
        from scenegen.jobs.shard_actors import plan_actors

        job, is_network = self.run.job, step != "geometry"
        return partial(plan_actors, is_network=is_network, device=torch_device(job.device), workers=job.workers)


def torch_device(device: str) -> Literal["auto", "cuda", "cpu"]:
    """The device on which networks run when Cycles runs on `device`."""
    return "cuda" if device in ("optix", "cuda") else "cpu" if device == "cpu" else "auto"


def _refuse_other_cut(root: Root, cut: AssetCut, num_shards: int) -> None:
    """Raises UsageError if tables of another list of assets, or of another shard size, are in the same folder.

    One file of each table is opened: if the number of shards is right, the others are of the same list or made again.
    """
    opened = set()
    for name in root.list():
        table, _, count = parse_shard_name(name) or ("", 0, 0)
        if not table.startswith(tables.OBJECTS) or (count == num_shards and table in opened):
            continue
        opened.add(table)
        try:
            fits = count == num_shards and read_meta(root, name).assets_digest == cut.digest
        except (ValueError, OSError):  # damaged: it will be made again
            continue
        if not fits:
            raise UsageError(
                f"{root.location} holds {name}, made of another list of assets or with another number of them a shard; "
                f"remove {tables.OBJECTS}*.parquet there, or choose another --out"
            )


def _forget_failed(root: Root, shards: Sequence[ObjectShard]) -> None:
    """Remove the files that record failed assets, so that these are tried again; finished views are kept and used."""
    tried_again = [shard for shard in shards if failures_of(root, shard)]
    for table in tables_of(root):
        if table != tables.VIEWS:
            for shard in tried_again:
                root.remove(shard.file(table))


def _conclude(run: ObjectsRun, root: Root, num_shards: int, mine: Sequence[ObjectShard]) -> RunResult:
    """The result of this process: too many failures among its assets, or done, with what is there."""
    failures = {uid: reason for shard in mine for uid, reason in failures_of(root, shard).items()}
    assets = sum(len(shard.assets) for shard in mine)
    if failures and len(failures) / assets > run.job.max_failed:
        uid, reason = next(iter(failures.items()))
        return RunResult(
            EXIT_TOO_MANY_FAILURES,
            f"{len(failures)} of {assets} assets failed, more than --max-failed {run.job.max_failed:g}; the first: "
            f"{uid}: {reason}. Mend the cause, then run again with --retry-failed",
        )
    complete = all(count == num_shards for count in tables_of(root).values())
    if complete:
        root.remove_folder(SPOOL)
    there = ", ".join(tables_of(root))
    failed = f", {len(failures)} of them failed" if failures else ""
    state = "complete" if complete else "not complete: other tasks make the rest"
    return RunResult(EXIT_DONE, f"objects of {assets} assets{failed}: {there}; {state}")
