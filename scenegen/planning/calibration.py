"""What a scene costs on a machine, as it was measured; stored with the date and the set-up of the measurement."""

import dataclasses
import hashlib
import json
import math
import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import scenegen
from scenegen.config import DatasetConfig, config_diff
from scenegen.errors import UsageError
from scenegen.jobs.resources import Machine, WorkerPlan
from scenegen.planning.device_probe import Devices
from scenegen.scenes.factory import renderer_name

FRESH_DAYS = 90
_IDLE_SHARE = 0.85
_IRRELEVANT = ("num_scenes", "seed", "scenes_per_shard")  # the cost of a scene does not depend on these
_EXTRAPOLATED = ("num_views", "resolution_px")  # of the camera; variables of the model


@dataclass(frozen=True, slots=True)
class Cost:
    """A model of a cost of a scene: fixed + views * (view + pixel * pixels). In seconds of one worker, or in bytes."""

    fixed: float
    view: float
    pixel: float

    def scene(self, views: int, resolution_px: int) -> float:
        return self.fixed + views * (self.view + self.pixel * resolution_px**2)


@dataclass(frozen=True, slots=True)
class Setup:
    """The set-up for which a measurement holds; if any of it changes, a new one is needed.

    device: "CPU", or the kind and names of the GPUs. threads: of a worker. code: version of scenegen.
    workers: of the machine; on GPUs all of them rendered at once when it was measured. gpus: that they share.
    """

    processor: str
    cores: int
    device: str
    threads: int
    renderer: str
    code: str
    workers: int = 1
    gpus: int = 0

    @classmethod
    def here(
        cls, config: DatasetConfig, devices: Devices, wanted: str, machine: Machine, workers: WorkerPlan
    ) -> "Setup":
        """The set-up of this plan's workers. wanted: the device, auto, optix, cuda or cpu."""
        of_kind = dict(devices.kinds)
        kind = wanted.upper() if wanted.upper() in of_kind else devices.kinds[0][0]
        gpus = of_kind[kind] if workers.num_gpus and kind != "CPU" else ()
        return cls(
            processor=processor_name(),
            cores=machine.cpus,
            device=f"{kind} {', '.join(sorted(set(gpus)))}" if gpus else "CPU",
            threads=workers.threads,
            renderer=renderer_name(config),
            code=scenegen.__version__,
            workers=workers.workers,
            gpus=len(gpus),
        )

    def plan(self) -> WorkerPlan:
        """The workers of that machine."""
        cores = self.cores / self.workers
        return WorkerPlan(self.workers, self.threads, cores, self.gpus / self.workers, recycle_rss_bytes=0)

    def describe(self) -> str:
        each = f"{self.threads} thread{'s' if self.threads > 1 else ''} a worker"
        many = f"{self.gpus} x " if self.gpus > 1 else ""
        sharing = f"{self.workers} worker{'s' if self.workers > 1 else ''} at once, " if self.gpus else ""
        return (
            f"{self.processor}, {self.cores} cores, {many}{self.device}, {sharing}{each}, {self.renderer}, "
            f"scenegen {self.code}"
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """Costs of a scene and how they were measured.

    date: ISO. trials: what was rendered. seconds: of one worker. error: the largest relative error of the model in the
    trials. share: the share of a core that the trials got; on a CPU, well below 1, something else was running.
    config: the `cost_facts` for which it holds; older files, the reference among them, do not tell.
    """

    setup: Setup
    date: str
    trials: str
    seconds: Cost
    bytes: Cost
    error: float
    share: float
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def age_days(self) -> int:
        return (date.today() - date.fromisoformat(self.date)).days

    def describe(self) -> list[str]:
        """Lines for people: when, with which trials, on what, and how busy the machine was."""
        if self.setup.gpus:
            busy = f"a worker's own processor was busy {self.share:.0%} of the time"
        elif self.share > _IDLE_SHARE:
            busy = "the machine was idle otherwise"
        else:
            busy = f"the machine was busy: the trials got {self.share:.0%} of a core"
        return [
            f"measured on {self.date}: {self.trials}; the model misses them by up to {self.error:.0%}",
            f"measured on {self.setup.describe()}; {busy}",
        ]

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Calibration":
        """The inverse of `to_json`. Raises ValueError, KeyError or TypeError for any other text."""
        raw = json.loads(text)
        costs = {name: Cost(**raw[name]) for name in ("seconds", "bytes")}
        if not all(0 < cost.scene(1, 64) < math.inf for cost in costs.values()):
            raise ValueError("a scene cannot cost that")
        date.fromisoformat(raw["date"])
        return cls(**{**raw, **costs, "setup": Setup(**raw["setup"])})

    @classmethod
    def read(cls, file: Path, config: DatasetConfig) -> "Calibration":
        """What another machine has measured for such a config. Raises UsageError for anything else."""
        again = "Measure on that machine, with the options of this dataset: scenegen plan --calibrate"
        try:
            found = cls.from_json(file.read_text())
            if not found.config:
                raise ValueError("it does not say for which config it holds")
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror}. {again}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UsageError(f"{file} holds no measurement that this version of scenegen can read. {again}") from None
        if found.setup.code != scenegen.__version__:
            raise UsageError(
                f"{file} was measured with scenegen {found.setup.code}, and this is {scenegen.__version__}. {again}"
            )
        different = [*config_diff(found.config, cost_facts(config))]
        if different:
            raise UsageError(f"{file} was measured for another config ({', '.join(different)}). {again}")
        return found


@dataclass(frozen=True, slots=True)
class CalibrationStore:
    """The measurements of this user on this machine, a small file each. say: gets a line about what goes wrong."""

    folder: Path
    say: Callable[[str], None]

    @classmethod
    def of_this_user(cls, say: Callable[[str], None]) -> "CalibrationStore":
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - this one never raises
        return cls(Path(cache) / "scenegen", say)

    def load(self, setup: Setup, config: DatasetConfig) -> Calibration | None:
        """What was measured with this set-up and with all settings of the config that change the cost; else None."""
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

    def save(self, calibration: Calibration, config: DatasetConfig) -> Path | None:
        """Store it whole and return where; or say that it cannot be done, and go on."""
        path = self._path(calibration.setup, config)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self.folder, delete=False) as file:
                file.write(calibration.to_json())
            return Path(file.name).replace(path)
        except OSError as error:
            self.say(f"the calibration could not be kept ({error}); XDG_CACHE_HOME names another place")
            return None

    def _path(self, setup: Setup, config: DatasetConfig) -> Path:
        key = json.dumps([dataclasses.asdict(setup), cost_facts(config)], sort_keys=True)
        return self.folder / f"calibration-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def cost_facts(config: DatasetConfig) -> dict[str, Any]:
    """All settings of a config that change what a scene costs, as JSON, except those that the model extrapolates."""
    stored = json.loads(json.dumps(config.to_dict()))
    facts = {name: value for name, value in stored.items() if name not in _IRRELEVANT}
    camera = {name: value for name, value in facts["camera"].items() if name not in _EXTRAPOLATED}
    return {**facts, "camera": camera}


def processor_name() -> str:
    """The model name of the processor, or its architecture where the system does not tell the name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
