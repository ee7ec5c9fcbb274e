"""What a dataset will take, from a few small scenes: costs grow with pixels and views, on top of fixed parts."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scenegen.config import DEFAULT_SCENE_TIMEOUT_S, DatasetConfig
from scenegen.contract.schema import ShardMeta
from scenegen.errors import SceneGenError
from scenegen.jobs.resources import WorkerPlan
from scenegen.jobs.scene_job import WorkerJob
from scenegen.jobs.supervisor import WORKER_COMMAND, Limits, make_scenes

_TRIAL_LIMIT_S = 600.0
_SHARES = (16, 8)  # trials are rendered at a sixteenth and an eighth of the resolution
_SMALLEST_PX = 32
_MAX_TRIES = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """A cost of a scene: fixed + views * (view + pixel * pixels). Seconds of one worker, or bytes."""

    fixed: float
    view: float
    pixel: float

    def scene(self, views: int, resolution_px: int) -> float:
        return self.fixed + views * (self.view + self.pixel * resolution_px**2)


@dataclass(frozen=True, slots=True)
class Forecast:
    """seconds: of one worker for one scene. bytes: of one scene in its shard."""

    config: DatasetConfig
    plan: WorkerPlan
    seconds: float
    bytes: float

    @property
    def total_hours(self) -> float:
        """Wall time of the whole dataset with the plan's workers."""
        return self.config.num_scenes * self.seconds / self.plan.workers / 3600

    @property
    def total_bytes(self) -> float:
        return self.config.num_scenes * self.bytes

    def machines_for(self, deadline_hours: float) -> int:
        """Machines like this one that meet a deadline."""
        return max(1, math.ceil(self.total_hours / deadline_hours))

    @property
    def scene_timeout_s(self) -> float:
        """A time limit that only a scene in trouble reaches."""
        return max(DEFAULT_SCENE_TIMEOUT_S, math.ceil(3 * self.seconds / 100) * 100.0)

    def timeout_advice(self, timeout_s: float) -> str:
        """What to do when scenes take longer than the limit."""
        return (
            f"a scene will take about {self.seconds:.0f} s here, more than --scene-timeout {timeout_s:g} s: every one "
            f"would be stopped. Give --scene-timeout {self.scene_timeout_s:.0f} or auto, or fewer or smaller views"
        )

    def describe(self) -> str:
        """One line."""
        config = self.config
        return (
            f"forecast: about {readable_hours(self.total_hours)} and {readable_bytes(self.total_bytes)} for "
            f"{config.num_scenes} scenes of {config.camera.num_views} views at {config.camera.resolution_px} px "
            f"({readable_hours(self.seconds / 3600)} of one worker and {readable_bytes(self.bytes)} a scene)"
        )


def calibrate(
    config: DatasetConfig, meta: ShardMeta, device: str, plan: WorkerPlan, command: Sequence[str] = WORKER_COMMAND
) -> Forecast:
    """Render a few small scenes with the real renderer, one worker alone, and extrapolate to the config's size.

    Three trials (one view small, two views small, two views larger) separate what a scene, a view and a pixel cost;
    the first scene of each process warms it up and is not counted. Raises SceneGenError if scenes fail.
    """
    small, large = (max(_SMALLEST_PX, config.camera.resolution_px // share) for share in _SHARES)
    trials = [
        _trial(config, meta, device, plan, command, views, resolution)
        for views, resolution in ((1, small), (2, small), (2, max(large, 2 * small)))
    ]
    seconds, size = (_fit([trial[n] for trial in trials], small**2, max(large, 2 * small) ** 2) for n in (0, 1))
    camera = config.camera
    return Forecast(
        config,
        plan,
        seconds.scene(camera.num_views, camera.resolution_px),
        size.scene(camera.num_views, camera.resolution_px),
    )


def _fit(costs: Sequence[float], small_pixels: int, large_pixels: int) -> Cost:
    """Solve the three trials; measurement noise must not make a part negative."""
    one_small, two_small, two_large = costs
    pixel = max(0.0, (two_large - two_small) / (2 * (large_pixels - small_pixels)))
    view = max(0.0, two_small - one_small - pixel * small_pixels)
    fixed = max(0.0, one_small - view - pixel * small_pixels)
    return Cost(fixed, view, pixel)


def _trial(
    config: DatasetConfig,
    meta: ShardMeta,
    device: str,
    plan: WorkerPlan,
    command: Sequence[str],
    views: int,
    resolution_px: int,
) -> tuple[float, float]:
    """(seconds, bytes) of the second scene that a fresh process makes."""
    camera = replace(config.camera, num_views=views, resolution_px=resolution_px)
    small = replace(config, camera=camera, num_scenes=_MAX_TRIES, scenes_per_shard=_MAX_TRIES)
    limits = Limits(_TRIAL_LIMIT_S, _MAX_TRIES, plan.recycle_rss_bytes)
    failures, warm = [], False
    with tempfile.TemporaryDirectory(prefix="scenegen-calibration-") as folder:
        job = WorkerJob(folder, 0, small, meta, device, plan.threads)
        for event in make_scenes(job, range(_MAX_TRIES), limits, command):
            if event["event"] != "made":
                failures.append(event["reason"])
            elif warm:
                return event["seconds"], event["bytes"]
            warm = True
    raise SceneGenError(f"the trial scenes failed, so nothing can be forecast: {failures[0]}")


def readable_hours(hours: float) -> str:
    if hours < 1 / 30:
        return f"{hours * 3600:.0f} s"
    if hours < 2:
        return f"{hours * 60:.0f} min"
    return (
        f"{hours:.1f} h" if hours < 48 else f"{hours / 24:,.1f} days" if hours < 24 * 30 else f"{hours / 24:,.0f} days"
    )


def readable_bytes(size: float) -> str:
    for unit, one in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= one:
            return f"{size / one:.3g} {unit}"
    return f"{size / 1e3:.3g} kB"
