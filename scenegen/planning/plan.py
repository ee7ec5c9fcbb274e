"""`scenegen plan`: what this machine can do and what a dataset will take on it."""

import math
import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from scenegen.config import DatasetConfig, JobConfig
from scenegen.contract.storage import Root
from scenegen.errors import UsageError
from scenegen.jobs.resources import Machine, WorkerPlan, plan_workers, this_machine
from scenegen.planning.calibration import FRESH_DAYS, Calibration, CalibrationStore, Setup
from scenegen.planning.device_probe import Devices, probe
from scenegen.planning.forecast import Forecast, readable_bytes, readable_hours
from scenegen.planning.reference import Estimate, estimate
from scenegen.planning.trials import calibrate

_GPU_KINDS = ("OPTIX", "CUDA")
_GOOD_SHARD_BYTES = 2e9
_GOOD_SHARD_HOURS = 1.0
_QUICK_S = 14.0  # limit of an answer without a measurement; with the start of Python and Blender it takes 20 s


def plan(
    root: Root, config: DatasetConfig, job: JobConfig, deadline_hours: float = 24.0, measure_anew: bool = False
) -> str:
    """The facts of the machine and the forecast of a dataset, as lines for people.

    root: where the dataset would be. measure_anew: measure this machine even if a measurement is stored.

    Raises SceneGenError if the renderer or the device asked for is not there, or if the trial scenes fail.
    """
    until = time.monotonic() + _QUICK_S
    devices = find_devices(config)
    machine = _with_gpus(this_machine(), devices)
    workers = plan_workers(machine, config, job)
    free = free_bytes(root)
    lines = [*_machine_lines(devices, machine, root, free), *_work_lines(config, workers)]
    setup = Setup.here(config, devices, job.device, machine, workers)
    store = CalibrationStore.of_this_user(lines.append)
    costs: Calibration | Estimate | None = None if measure_anew else store.load(setup, config)
    if costs is None and (measure_anew or config.renderer == "boxes"):  # measuring takes seconds with boxes
        costs, kept = measure(config, job, setup, store)
        if kept and measure_anew:
            lines.append(f"kept in {kept}; with a copy of it, elsewhere: scenegen plan --measured FILE")
    if costs is None and workers.num_gpus:
        workers = plan_workers(this_machine(), config, replace(job, device="cpu"))
        lines.append(f"no scene was measured on {setup.device} yet, so what follows is of the CPU alone")
    costs = costs or estimate(config, until)
    forecast = Forecast.of(config, workers, costs)
    lines += [*_forecast_lines(forecast, deadline_hours, free), *_origin_lines(costs)]
    if job.scene_timeout_s is not None and forecast.seconds > job.scene_timeout_s:
        lines.append(forecast.timeout_advice(job.scene_timeout_s))
    return "\n".join(lines)


def plan_elsewhere(
    config: DatasetConfig, measured: Path, deadline_hours: float = 24.0, measure_anew: bool = False
) -> str:
    """The forecast of a dataset on the machine that has written a calibration, as lines for people.

    measured: the file. Neither Blender nor a GPU is needed here. measure_anew: what cannot be asked for as well.
    Raises UsageError if it is asked for, or if the file is no measurement for this config.
    """
    if measure_anew:
        raise UsageError("--calibrate measures this machine, --measured is of another; give one of them")
    calibration = Calibration.read(measured, config)
    forecast = Forecast.of(config, calibration.setup.plan(), calibration)
    lines = [*_work_lines(config, forecast.plan), *_forecast_lines(forecast, deadline_hours, None, "that one")]
    return "\n".join([*lines, *_origin_lines(calibration)])


def find_devices(config: DatasetConfig) -> Devices:
    """Raises SceneGenError if Blender is asked for and does not load."""
    return probe() if config.renderer == "blender" else Devices("not used", (("CPU", ("CPU",)),))


def measure(
    config: DatasetConfig, job: JobConfig, setup: Setup, store: CalibrationStore
) -> tuple[Calibration, Path | None]:
    """Costs measured by trial scenes, and where they are stored. Raises SceneGenError if the trials fail."""
    calibration = calibrate(config, job.device, setup)
    return calibration, store.save(calibration, config)


def measured_costs(
    config: DatasetConfig, job: JobConfig, workers: WorkerPlan, say: Callable[[str], None]
) -> Calibration:
    """Costs that were measured here recently, or else are measured now. say: gets a line about what is done.

    Raises SceneGenError if the trial scenes fail.
    """
    setup = Setup.here(config, find_devices(config), job.device, this_machine(), workers)
    store = CalibrationStore.of_this_user(say)
    stored = store.load(setup, config)
    if stored and stored.age_days <= FRESH_DAYS:
        say(f"forecast from what was measured here on {stored.date}")
        return stored
    say("measuring a few trial scenes, for this run and later ones")
    return measure(config, job, setup, store)[0]


def _with_gpus(machine: Machine, devices: Devices) -> Machine:
    gpus = max((len(names) for kind, names in devices.kinds if kind in _GPU_KINDS), default=0)
    return replace(machine, gpus=gpus)


def _origin_lines(costs: Calibration | Estimate) -> list[str]:
    if isinstance(costs, Calibration) and costs.age_days > FRESH_DAYS:
        return [*costs.describe(), f"that was {costs.age_days} days ago; --calibrate measures anew"]
    return costs.describe()


def free_bytes(root: Root) -> int | None:
    """Free space where a dataset would be stored; None for object stores."""
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
    gpu = f", {workers.num_gpus:.3g} GPU each" if workers.num_gpus else ""
    camera = config.camera
    return [
        f"dataset  {config.num_scenes} scenes x {camera.num_views} views at {camera.resolution_px} px, "
        f"{config.num_shards} shards of {config.scenes_per_shard} scenes, drawn by {config.renderer}",
        f"workers  {workers.workers}, {workers.threads} threads each{gpu}",
    ]


def _forecast_lines(forecast: Forecast, deadline_hours: float, free: int | None, which: str = "this one") -> list[str]:
    config, workers = forecast.config, forecast.plan
    machines = forecast.machines_for(deadline_hours)
    gpus = f", {math.ceil(machines * workers.workers * workers.num_gpus)} GPUs in all" if workers.num_gpus else ""
    days = f"; {forecast.gpu_days:,.1f} GPU-days" if workers.num_gpus else ""
    shard_bytes = config.scenes_per_shard * forecast.bytes
    shard_hours = config.scenes_per_shard * forecast.seconds / 3600
    lines = [
        f"{forecast.describe()}{days}",
        f"for {deadline_hours:g} h it takes {machines} machine{'s' if machines > 1 else ''} like {which}{gpus}",
        f"a shard is about {readable_bytes(shard_bytes)} and {readable_hours(shard_hours)} of one worker",
    ]
    fitting = int(min(_GOOD_SHARD_BYTES / forecast.bytes, _GOOD_SHARD_HOURS * 3600 / forecast.seconds))
    if shard_bytes > _GOOD_SHARD_BYTES or shard_hours > _GOOD_SHARD_HOURS:
        lines.append(f"smaller shards lose less and verify sooner: --scenes-per-shard {max(1, fitting)}")
    if free is not None and forecast.total_bytes > free:
        lines.append(f"it does not fit: {readable_bytes(forecast.total_bytes)} on {readable_bytes(free)} of free space")
    return lines
