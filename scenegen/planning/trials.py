"""The measurement: small scenes made with the real renderer, and the costs that follow from them.

A scene costs a fixed part, a part for each view and a part for each pixel; trials of a few sizes tell these apart.
Workers that share GPUs slow each other down, so that all of them make every trial scene at the same time.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import cache

import numpy as np
from scipy.optimize import nnls

from scenegen.config import DatasetConfig
from scenegen.contract.storage import Root
from scenegen.errors import SceneError, SceneGenError
from scenegen.jobs.child import ChildDiedError, ChildTimeoutError, KillableChild
from scenegen.planning.calibration import Calibration, Cost, Setup, cost_facts
from scenegen.scenes.factory import open_tools, shard_meta
from scenegen.scenes.maker import SceneTools, make_scene
from scenegen.scenes.worker_job import WorkerJob
from scenegen.shards.spool import SceneRecord, write_scene

_TRIAL_LIMIT_S = 600.0
_Sizes = tuple[tuple[int, int], ...]  # (views, resolution)
_SIZES: _Sizes = ((1, 64), (2, 64), (2, 128))
_GPU_SIZES: _Sizes = ((2, 256), (1, 1024), (4, 1024))  # smaller images leave most of a GPU idle
_SCENES_OF_A_SIZE = 2
_MOST_FAILED = 5


@dataclass(frozen=True, slots=True)
class TrialSize:
    scene: int
    views: int
    resolution_px: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What a scene took. wall_s: elapsed. cpu_s: of all threads. bytes: of its file. failure: "" if it was made."""

    size: TrialSize
    wall_s: float = 0.0
    cpu_s: float = 0.0
    bytes: int = 0
    failure: str = ""


WARM_UP = TrialSize(scene=0, views=1, resolution_px=32)


@dataclass(frozen=True, slots=True)
class TrialBench:
    """Makes trial scenes of a config, one after the other, in a child process; close it at the end."""

    config: DatasetConfig
    device: str
    threads: int
    child: KillableChild

    @classmethod
    def open(cls, config: DatasetConfig, device: str, threads: int) -> "TrialBench":
        return cls(config, device, threads, KillableChild(f"{__name__}:make_trial"))

    def make(self, size: TrialSize, limit_s: float = _TRIAL_LIMIT_S) -> Trial:
        """Raises ChildTimeoutError after the limit, SceneGenError for what no trial can survive."""
        try:
            return self.child.call(limit_s, self.config, self.device, self.threads, size)
        except ChildDiedError as error:
            raise SceneGenError(f"the process of the trial scenes {error}, so nothing can be forecast") from None

    def close(self) -> None:
        self.child.close()


def calibrate(config: DatasetConfig, device: str, setup: Setup, sizes: _Sizes | None = None) -> Calibration:
    """Make a few small scenes; the first one warms the processes up and is not counted.

    One worker makes them, but for GPUs all of the set-up's. sizes: (views, resolution) of each scene.
    Raises SceneGenError if scenes fail or take too long.
    """
    sizes = sizes or (_GPU_SIZES if setup.gpus else _SIZES)
    try:
        with _workers(config, device, setup.threads, setup.workers if setup.gpus else 1) as make:
            make(WARM_UP)
            trials = [*_trials(make, sizes)]
    except ChildTimeoutError as timeout:
        raise SceneGenError(f"a trial scene {timeout}, so nothing can be forecast") from None
    share = sum(trial.cpu_s for trial in trials) / sum(trial.wall_s for trial in trials)
    seconds = [_worker_seconds(trial, setup) for trial in trials]
    cost, error = fit([trial.size for trial in trials], seconds)
    size, _ = fit([trial.size for trial in trials], [float(trial.bytes) for trial in trials])
    made = f"{len(trials)} scenes with views of {', '.join(f'{views} x {px} px' for views, px in sizes)}"
    today = date.today().isoformat()
    return Calibration(setup, today, made, cost, size, error, min(1.0, share), cost_facts(config))


@contextmanager
def _workers(config: DatasetConfig, device: str, threads: int, count: int) -> Iterator[Callable[[TrialSize], Trial]]:
    """A function by which `count` processes make the same scene at the same time: their mean trial."""
    benches = [TrialBench.open(config, device, threads) for _ in range(count)]

    def make(size: TrialSize) -> Trial:
        made = [*pool.map(lambda bench: bench.make(size), benches)]
        failed = [trial for trial in made if trial.failure]
        if failed:
            return failed[0]
        wall_s, cpu_s = (float(np.mean([getattr(trial, name) for trial in made])) for name in ("wall_s", "cpu_s"))
        return replace(made[0], wall_s=wall_s, cpu_s=cpu_s)

    # A child dies with the thread that started it: the threads stay until the end.
    with ThreadPoolExecutor(count) as pool:
        try:
            yield make
        finally:
            for bench in benches:
                bench.close()


def fit(sizes: Sequence[TrialSize], costs: Sequence[float]) -> tuple[Cost, float]:
    """(the model with non-negative parts that fits the trials best, its largest relative error in them).

    Non-negative least squares of the relative errors.
    """
    rows = np.array([[1.0, size.views, size.views * size.resolution_px**2] for size in sizes])
    found = np.array(costs)
    parts, _ = nnls(rows / found[:, None], np.ones(len(found)))
    return Cost(*map(float, parts)), float(np.abs(rows @ parts / found - 1).max())


def make_trial(config: DatasetConfig, device: str, threads: int, size: TrialSize) -> Trial:
    """Make one trial scene; runs in the bench's child process. Raises SceneGenError for what fails every scene."""
    tools = _tools(config, device, threads)
    camera = replace(config.camera, num_views=size.views, resolution_px=size.resolution_px)
    small = replace(config, camera=camera, num_scenes=size.scene + 1)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        made = make_scene(tools, small, size.scene)
    except SceneError as error:
        return Trial(size, failure=str(error))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    with tempfile.TemporaryDirectory(prefix="scenegen-trial-") as folder:
        stored = write_scene(Root.open(folder), shard_meta(small), 0, made.scene, made.views, SceneRecord(seconds=wall))
    return Trial(size, wall, cpu, stored)


@cache
def _tools(config: DatasetConfig, device: str, threads: int) -> SceneTools:
    """Opened once in a process, because Blender takes seconds to load."""
    return open_tools(WorkerJob("", 0, config, shard_meta(config), device, threads))


def _trials(make: Callable[[TrialSize], Trial], sizes: _Sizes) -> Iterator[Trial]:
    """The same scenes in every size: the first ones that can be made. Raises SceneGenError after several failures."""
    left = _SCENES_OF_A_SIZE
    for scene in range(1, 1 + _SCENES_OF_A_SIZE + _MOST_FAILED):
        trials = [make(TrialSize(scene, *size)) for size in sizes]
        failures = [trial.failure for trial in trials if trial.failure]
        if not failures:
            yield from trials
            left -= 1
        if not left:
            return
    raise SceneGenError(f"the trial scenes failed, so nothing can be forecast: {failures[0]}")


def _worker_seconds(trial: Trial, setup: Setup) -> float:
    """CPU time for one thread on the CPU, which other processes hardly change; else elapsed time."""
    return trial.cpu_s if setup.threads == 1 and setup.device == "CPU" else trial.wall_s
