"""The hours and bytes that a dataset will take, from measured or estimated costs of a scene."""

import math
from dataclasses import dataclass

from scenegen.config import DEFAULT_SCENE_TIMEOUT_S, DatasetConfig
from scenegen.jobs.resources import WorkerPlan
from scenegen.planning.calibration import Calibration
from scenegen.planning.reference import Estimate


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecast of a dataset.

    plan: the workers. seconds: of one worker for one scene. bytes: of one scene in its shard.
    within: the factor by which the seconds may be wrong, either way; 1 for measured costs.
    """

    config: DatasetConfig
    plan: WorkerPlan
    seconds: float
    bytes: float
    within: float = 1.0

    @classmethod
    def of(cls, config: DatasetConfig, plan: WorkerPlan, costs: Calibration | Estimate) -> "Forecast":
        """Costs extrapolated to the config's views and resolution."""
        size = config.camera.num_views, config.camera.resolution_px
        within = costs.within if isinstance(costs, Estimate) else 1.0
        return cls(config, plan, costs.seconds.scene(*size), costs.bytes.scene(*size), within)

    @property
    def total_hours(self) -> float:
        """Wall time of the whole dataset with the plan's workers."""
        return self.config.num_scenes * self.seconds / self.plan.workers / 3600

    @property
    def gpu_days(self) -> float:
        """Days of one GPU; 0 where none is used."""
        return self.total_hours * self.plan.workers * self.plan.num_gpus / 24

    @property
    def total_bytes(self) -> float:
        return self.config.num_scenes * self.bytes

    def machines_for(self, deadline_hours: float) -> int:
        """The number of machines like this one that meet a deadline."""
        return max(1, math.ceil(self.total_hours / deadline_hours))

    @property
    def scene_timeout_s(self) -> float:
        """A time limit that a scene exceeds only if something is wrong with it."""
        return max(DEFAULT_SCENE_TIMEOUT_S, math.ceil(3 * self.seconds / 100) * 100.0)

    def timeout_advice(self, timeout_s: float) -> str:
        """What to say when scenes take longer than the limit."""
        return (
            f"a scene will take about {self.seconds:.0f} s here, more than --scene-timeout {timeout_s:g} s: every one "
            f"would be stopped. Give --scene-timeout {self.scene_timeout_s:.0f} or auto, or fewer or smaller views"
        )

    def describe(self) -> str:
        """One line."""
        config = self.config
        hours = [readable_hours(self.total_hours * factor) for factor in (1 / self.within, self.within)]
        between = f" (between {hours[0]} and {hours[1]})" if self.within > 1 else ""
        return (
            f"forecast: about {readable_hours(self.total_hours)}{between} and {readable_bytes(self.total_bytes)} for "
            f"{config.num_scenes} scenes of {config.camera.num_views} views at {config.camera.resolution_px} px "
            f"({readable_hours(self.seconds / 3600)} of one worker and {readable_bytes(self.bytes)} a scene)"
        )


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
