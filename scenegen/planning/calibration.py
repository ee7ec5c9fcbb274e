"""What a scene costs on a machine, as it was measured: kept with its date and with what it was measured under."""

import dataclasses
import hashlib
import json
import math
import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import scenegen
from scenegen.config import DatasetConfig
from scenegen.jobs.resources import Machine, WorkerPlan
from scenegen.planning.device_probe import Devices
from scenegen.scenes.factory import renderer_name

FRESH_DAYS = 90
_IDLE_SHARE = 0.85
_FREE = ("num_scenes", "seed", "scenes_per_shard")  # what the cost of a scene does not depend on
_EXTRAPOLATED = ("num_views", "resolution_px")  # of the camera: in the model


@dataclass(frozen=True, slots=True)
class Cost:
    """A cost of a scene: fixed + views * (view + pixel * pixels). Seconds of one worker, or bytes."""

    fixed: float
    view: float
    pixel: float

    def scene(self, views: int, resolution_px: int) -> float:
        return self.fixed + views * (self.view + self.pixel * resolution_px**2)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a measurement holds for: another of any of them is measured anew. threads: of a worker."""

    processor: str
    cores: int
    device: str
    threads: int
    renderer: str
    code: str

    @classmethod
    def here(
        cls, config: DatasetConfig, devices: Devices, wanted: str, machine: Machine, workers: WorkerPlan
    ) -> "Setup":
        """What the workers of this plan run on. wanted: auto, optix, cuda or cpu."""
        of_kind = dict(devices.kinds)
        kind = wanted.upper() if wanted.upper() in of_kind else devices.kinds[0][0]
        gpus = f"{kind} {', '.join(sorted(set(of_kind[kind])))}" if workers.num_gpus and kind != "CPU" else "CPU"
        code = scenegen.__version__
        return cls(processor_name(), machine.cpus, gpus, workers.threads, renderer_name(config), code)

    def describe(self) -> str:
        each = f"{self.threads} thread{'s' if self.threads > 1 else ''} a worker"
        return f"{self.processor}, {self.cores} cores, {self.device}, {each}, {self.renderer}, scenegen {self.code}"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Costs of a scene and how they were measured.

    date: ISO. trials: what was rendered. error: the largest relative error of the model in the trials.
    share: of a core that the trials got; below 1 something else was running.
    """

    setup: Setup
    date: str
    trials: str
    seconds: Cost
    bytes: Cost
    error: float
    share: float

    @property
    def age_days(self) -> int:
        return (date.today() - date.fromisoformat(self.date)).days

    def describe(self) -> list[str]:
        """Lines for people: when, of what, on what, and how busy that was."""
        busy = "idle otherwise" if self.share > _IDLE_SHARE else f"busy: the trials got {self.share:.0%} of a core"
        return [
            f"measured here on {self.date}: {self.trials}; the model misses them by up to {self.error:.0%}",
            f"measured on {self.setup.describe()}; the machine was {busy}",
        ]

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Calibration":
        """Raises ValueError, KeyError or TypeError for anything else than what `to_json` gave."""
        raw = json.loads(text)
        costs = {name: Cost(**raw[name]) for name in ("seconds", "bytes")}
        if not all(0 < cost.scene(1, 64) < math.inf for cost in costs.values()):
            raise ValueError("a scene cannot cost that")
        date.fromisoformat(raw["date"])
        return cls(**{**raw, **costs, "setup": Setup(**raw["setup"])})


@dataclass(frozen=True, slots=True)
class CalibrationStore:
    """Measurements of this person on this machine, a small file each. say: where a line about trouble goes."""

    folder: Path
    say: Callable[[str], None]

    @classmethod
    def of_this_user(cls, say: Callable[[str], None]) -> "CalibrationStore":
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - this one never raises
        return cls(Path(cache) / "scenegen", say)

    def load(self, setup: Setup, config: DatasetConfig) -> Calibration | None:
        """What was measured with this setup and everything in the config that changes the cost; None if nothing was."""
        path = self._path(setup, config)
        try:
            calibration = Calibration.from_json(path.read_text())
            if calibration.setup != setup:
                raise ValueError("it is of another setup")
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.say(f"the stored calibration {path} is ignored, it cannot be read ({error})")
            return None
        return calibration

    def save(self, calibration: Calibration, config: DatasetConfig) -> None:
        """Whole or not at all; a place that takes nothing is told and does no harm."""
        path = self._path(calibration.setup, config)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self.folder, delete=False) as file:
                file.write(calibration.to_json())
            Path(file.name).replace(path)
        except OSError as error:
            self.say(f"the calibration could not be kept ({error}); XDG_CACHE_HOME names another place")

    def _path(self, setup: Setup, config: DatasetConfig) -> Path:
        key = json.dumps([dataclasses.asdict(setup), cost_facts(config)], sort_keys=True)
        return self.folder / f"calibration-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def cost_facts(config: DatasetConfig) -> dict[str, Any]:
    """Everything in a config that changes what a scene costs, but for what the model extrapolates."""
    facts = {name: value for name, value in config.to_dict().items() if name not in _FREE}
    camera = {name: value for name, value in facts["camera"].items() if name not in _EXTRAPOLATED}
    return {**facts, "camera": camera}


def processor_name() -> str:
    """As the processor calls itself, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
