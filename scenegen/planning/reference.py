"""The reference: costs of scenes on one machine, shipped with the package, and a quick comparison of this machine.

It is used where nothing was measured yet. It holds the costs of the presets on the CPU. Another number of samples is
interpolated or extrapolated from the two that were measured; other settings are not in it. After changes of the
renderer, measure it again on an idle machine: python -m scenegen.planning.reference
"""

import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from scenegen.config import DatasetConfig, config_diff, preset
from scenegen.errors import SceneGenError
from scenegen.jobs.child import ChildTimeoutError
from scenegen.jobs.resources import WorkerPlan, this_machine
from scenegen.planning.calibration import Calibration, Cost, Setup, cost_facts
from scenegen.planning.device_probe import probe
from scenegen.planning.trials import WARM_UP, TrialBench, TrialSize, calibrate

_FILE = "reference.json"
_PROBE = (WARM_UP, TrialSize(scene=1, views=1, resolution_px=64))
_WITHIN, _WITHIN_UNSCALED = 2.0, 5.0


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference machine.

    measured: costs of the presets with few and with many samples. samples: of each. probe_s: CPU seconds of each of the
    small scenes by which another machine is compared.
    """

    measured: tuple[Calibration, Calibration]
    samples: tuple[int, int]
    probe_s: tuple[float, ...]

    @classmethod
    def shipped(cls) -> "Reference":
        raw = json.loads(files(__package__).joinpath(_FILE).read_text())
        few, many = (Calibration.from_json(json.dumps(each)) for each in raw["measured"])
        return cls((few, many), tuple(raw["samples"]), tuple(raw["probe_s"]))

    def costs(self, config: DatasetConfig) -> tuple[Cost, Cost]:
        """(seconds, bytes) of this config on the reference machine; seconds are linear in the number of samples."""
        few, many = self.measured
        along = max(0.0, (config.render.samples - self.samples[0]) / (self.samples[1] - self.samples[0]))
        line = {
            field.name: (1 - along) * getattr(few.seconds, field.name) + along * getattr(many.seconds, field.name)
            for field in dataclasses.fields(Cost)
        }
        return Cost(**{name: max(0.0, part) for name, part in line.items()}), many.bytes


@dataclass(frozen=True, slots=True)
class Estimate:
    """Costs on this machine, estimated from the reference.

    within: the factor by which the seconds may be wrong, either way. lines: where they come from, for people.
    """

    seconds: Cost
    bytes: Cost
    within: float
    lines: tuple[str, ...]

    def describe(self) -> list[str]:
        return [*self.lines]


def estimate(config: DatasetConfig, until: float) -> Estimate:
    """The reference, scaled by the time that a small scene takes here. until: the latest end, of time.monotonic()."""
    reference = Reference.shipped()
    seconds, size = reference.costs(config)
    speed = _slowness(reference, until)
    scaled = Cost(*(part * (speed or 1.0) for part in dataclasses.astuple(seconds)))
    origin = reference.measured[1]
    compared = f"times {speed:.2f}, as a small scene compares" if speed else "nothing compared, it took too long"
    lines = [
        f"estimated, not measured: {origin.setup.processor} with {origin.setup.renderer} on {origin.date}; {compared}",
        "to measure here, once, in some minutes: the same command with --calibrate",
    ]
    differing = [*config_diff(_known_facts(config), cost_facts(config))]
    if differing:
        lines.append(f"not in the estimate: {', '.join(differing)}")
    return Estimate(scaled, size, _WITHIN if speed else _WITHIN_UNSCALED, tuple(lines))


def _known_facts(config: DatasetConfig) -> dict[str, Any]:
    arsg = preset("arsg", 1)
    return cost_facts(replace(arsg, render=replace(arsg.render, samples=config.render.samples)))


def _slowness(reference: Reference, until: float) -> float | None:
    """CPU seconds of the last small scene that was made in time, relative to the reference; None if none was."""
    found = None
    try:
        for number, trial_s in enumerate(_probe_times(until)):
            found = trial_s / reference.probe_s[number]
    except (ChildTimeoutError, SceneGenError):
        pass  # rendering will say what is wrong; an estimate is better than none
    return found


def _probe_times(until: float) -> Iterator[float]:
    """CPU seconds of small scenes made with one thread; what else runs hardly changes them."""
    bench = TrialBench.open(preset("preview", 1), "cpu", threads=1)
    try:
        for size in _PROBE:
            yield bench.make(size, max(0.0, until - time.monotonic())).cpu_s
    finally:
        bench.close()


def main() -> None:
    """Write the reference of this machine into the package."""
    devices, machine = probe(), this_machine()
    one_thread = WorkerPlan(workers=1, threads=1, num_cpus=1.0, num_gpus=0.0, recycle_rss_bytes=0)
    configs = [preset(name, 1) for name in ("preview", "arsg")]
    measured = [calibrate(each, "cpu", Setup.here(each, devices, "cpu", machine, one_thread)) for each in configs]
    raw = {
        "samples": [each.render.samples for each in configs],
        "probe_s": [*_probe_times(time.monotonic() + 600)],
        "measured": [dataclasses.asdict(each) for each in measured],
    }
    Path(__file__).with_name(_FILE).write_text(json.dumps(raw, indent=1) + "\n")


if __name__ == "__main__":
    main()
