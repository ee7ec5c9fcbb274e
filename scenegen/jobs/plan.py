"""`scenegen plan`: what this machine can do and what a dataset will take on it."""

import math
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from scenegen.config import DatasetConfig, JobConfig
from scenegen.contract.storage import Root
from scenegen.jobs.device_probe import Devices, probe
from scenegen.jobs.forecast import Forecast, calibrate, readable_bytes, readable_hours
from scenegen.jobs.resources import Machine, WorkerPlan, plan_workers, this_machine
from scenegen.jobs.studio import shard_meta
from scenegen.jobs.supervisor import WORKER_COMMAND

_GPU_KINDS = ("OPTIX", "CUDA")
_GOOD_SHARD_BYTES = 2e9
_GOOD_SHARD_HOURS = 1.0


def plan(
    root: Root,
    config: DatasetConfig,
    job: JobConfig,
    deadline_hours: float = 24.0,
    trials: bool = True,
    command: Sequence[str] = WORKER_COMMAND,
) -> str:
    """The facts of the machine and a forecast, as lines for people.

    Raises SceneGenError if the renderer or the device asked for is not there, or if the trial scenes fail.
    """
    devices = probe() if config.renderer == "blender" else Devices("not used", (("CPU", ("CPU",)),))
    machine = this_machine()
    gpus = max((len(names) for kind, names in devices.kinds if kind in _GPU_KINDS), default=0)
    machine = Machine(machine.cpus, machine.memory_bytes, gpus)
    workers = plan_workers(machine, config, job)
    free = free_bytes(root)
    lines = [*_machine_lines(devices, machine, root, free), *_work_lines(config, workers)]
    if trials:
        forecast = calibrate(config, shard_meta(config), job.device, workers, command)
        lines += _forecast_lines(forecast, deadline_hours, free)
        if job.scene_timeout_s is not None and forecast.seconds > job.scene_timeout_s:
            lines.append(forecast.timeout_advice(job.scene_timeout_s))
    return "\n".join(lines)


def free_bytes(root: Root) -> int | None:
    """Free space where a dataset would lie; None for object stores."""
    if not root.is_local:
        return None
    place = Path(root.base)
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _machine_lines(devices: Devices, machine: Machine, root: Root, free: int | None) -> list[str]:
    found = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in devices.kinds)
    space = "object store" if free is None else f"{readable_bytes(free)} free"
    return [
        f"python   {platform.python_version()}, Blender (bpy) {devices.bpy}",
        f"devices  {found}",
        f"machine  {machine.cpus} cores, {readable_bytes(machine.memory_bytes)} memory",
        f"out      {root.location}: {space}",
    ]


def _work_lines(config: DatasetConfig, workers: WorkerPlan) -> list[str]:
    gpu = f", {workers.num_gpus:g} GPU each" if workers.num_gpus else ""
    camera = config.camera
    return [
        f"dataset  {config.num_scenes} scenes x {camera.num_views} views at {camera.resolution_px} px, "
        f"{config.num_shards} shards of {config.scenes_per_shard} scenes, drawn by {config.renderer}",
        f"workers  {workers.workers}, {workers.threads} threads each{gpu}",
    ]


def _forecast_lines(forecast: Forecast, deadline_hours: float, free: int | None) -> list[str]:
    config, workers = forecast.config, forecast.plan
    machines = forecast.machines_for(deadline_hours)
    gpus = f", {math.ceil(machines * workers.workers * workers.num_gpus)} GPUs in all" if workers.num_gpus else ""
    shard_bytes = config.scenes_per_shard * forecast.bytes
    shard_hours = config.scenes_per_shard * forecast.seconds / 3600
    lines = [
        forecast.describe(),
        f"for {deadline_hours:g} h it takes {machines} machine{'s' if machines > 1 else ''} like this one{gpus}",
        f"a shard is about {readable_bytes(shard_bytes)} and {readable_hours(shard_hours)} of one worker",
    ]
    fitting = int(min(_GOOD_SHARD_BYTES / forecast.bytes, _GOOD_SHARD_HOURS * 3600 / forecast.seconds))
    if shard_bytes > _GOOD_SHARD_BYTES or shard_hours > _GOOD_SHARD_HOURS:
        lines.append(f"smaller shards lose less and verify sooner: --scenes-per-shard {max(1, fitting)}")
    if free is not None and forecast.total_bytes > free:
        lines.append(f"it does not fit: {readable_bytes(forecast.total_bytes)} on {readable_bytes(free)} of free space")
    return lines
