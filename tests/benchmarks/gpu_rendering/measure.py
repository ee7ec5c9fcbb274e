"""Rendering on a GPU, measured in one run of some minutes: seconds a view by part, errors, workers, GPU-days.

    python tests/benchmarks/gpu_rendering/measure.py run OUT [--references FILE] [--minutes 8] [--rehearse]
    python tests/benchmarks/gpu_rendering/measure.py references FILE [--scenes 3] [--samples 2048]

`run` goes through the steps below, each in a process of its own with a time limit. Every finding is appended to
OUT/rows.jsonl at once, and OUT/gpu_rendering.json sums them up after every step; run again, it skips the steps that are
done. `references` makes, in advance and on the CPU, the images that errors are measured against; without them the step
`error` makes them itself. --rehearse: the same code on the CPU with tiny images, to see that it runs.

| step | finds |
|---|---|
| device | what the machine is; the first of OptiX and CUDA that renders, and why others did not |
| views | seconds of a view by part, 1024 and 512 px, official settings and ours; denoiser on the GPU and on the CPU |
| workers-N | a scene's cost with N workers on the GPU; OUT/calibration-N-workers.json for `scenegen plan --measured` |
| exact | ids, depth and normals against those that the CPU renders in the same process |
| error | image error against references, of the device's images and of the CPU's |
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from scenegen.config import AssetsConfig, CameraConfig, DatasetConfig, JobConfig, RenderConfig, preset  # noqa: E402
from scenegen.errors import SceneGenError  # noqa: E402

Row = dict[str, Any]
SCENES_OF_THE_PAPER = 110_000
DEPTH_TOLERANCE_M = 2e-4  # what the dataset promises of its depth


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    views_px: sizes of the timed views. views: timed of each scene and size. samples: None for those of the settings.
    exact_px: size of the compared exact passes. trials: (views, px) of the workers' scenes.
    """

    scenes: int = 2
    views: int = 3
    views_px: tuple[int, ...] = (1024, 512)
    samples: int | None = None
    exact_px: int = 512
    workers: tuple[int, ...] = (1, 2, 4)
    trials: tuple[tuple[int, int], ...] | None = None


REHEARSAL = Sizes(
    scenes=1, views=2, views_px=(48,), samples=2, exact_px=48, workers=(1, 2), trials=((1, 16), (2, 16), (2, 32))
)
LIMITS_S = {"device": 150.0, "views": 180.0, "workers": 150.0, "exact": 60.0, "error": 90.0}  # of a step on a card


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("out", type=Path)
    running.add_argument("--references", type=Path)
    running.add_argument("--minutes", type=float, default=8.0)
    running.add_argument("--rehearse", action="store_true")
    running.add_argument("--step", help="only this one, in this process")
    running.add_argument("--device", help="of the step")
    making = commands.add_parser("references")
    making.add_argument("file", type=Path)
    making.add_argument("--scenes", type=int, default=3)
    making.add_argument("--samples", type=int, default=2048)
    making.add_argument("--size", type=int, default=128)
    options = parser.parse_args()
    if options.command == "references":
        from references import make

        make(options.file, options.scenes, options.samples, options.size)
        leave(0)
    if options.step:
        one_step(options)
    return run(options)


def run(options: argparse.Namespace) -> int:
    """All steps within the minutes. Returns 1 if one failed."""
    options.out.mkdir(parents=True, exist_ok=True)
    rows = Rows(options.out / "rows.jsonl")
    sizes = REHEARSAL if options.rehearse else Sizes()
    until = time.monotonic() + 60 * options.minutes
    device = choose_device(rows, options, until)
    *few, most = (f"workers-{count}" for count in sizes.workers)
    for step in ("views", *few, "exact", "error", most):
        if device and not rows.done(step):
            child(rows, options, step, device, until)
        summarise(rows, options)
    failed = [step for step in rows.started() if not rows.done(step)]
    print(f"not finished: {', '.join(failed)}" if failed else "all steps are done", flush=True)
    return int(bool(failed) or device is None)


def choose_device(rows: Rows, options: argparse.Namespace, until: float) -> str | None:
    """The first device that renders. Cycles' kernels that `pack.py` compiled are put aside if none can use them."""
    for _ in range(2):
        for device in ("cpu",) if options.rehearse else ("optix", "cuda"):
            if rows.done(f"device-{device}") or child(rows, options, f"device-{device}", device, until):
                return device
        if options.rehearse or not put_kernels_aside(rows):
            return None
    return None


def put_kernels_aside(rows: Rows) -> bool:
    """Whether there were kernels for this architecture alone, so that the driver now compiles Cycles' PTX instead."""
    from importlib.util import find_spec

    spec = find_spec("bpy")
    found = [*Path(spec.origin).parent.glob("*/scripts/addons_core/cycles/lib/kernel_sm_*.cubin.zst")] if spec else []
    for file in found:
        file.rename(file.with_suffix(".aside"))
        rows.add("device", aside=file.name)
    return bool(found)


def child(rows: Rows, options: argparse.Namespace, step: str, device: str, until: float) -> bool:
    """Run a step in a process of its own; whether it was finished in time."""
    rows.add(step, started=True)
    command = [sys.executable, __file__, "run", str(options.out), "--step", step, "--device", device]
    command += ["--rehearse"] if options.rehearse else []
    command += ["--references", str(options.references)] if options.references else []
    start = time.monotonic()
    limit_s = until - start if options.rehearse else min(until - start, LIMITS_S[step.partition("-")[0]])
    with gpu_load(options.out / "load.csv") as load:
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=max(1.0, limit_s)
            )
            said, code = done.stdout, done.returncode
        except subprocess.TimeoutExpired as timeout:
            said, code = (timeout.stdout or b"").decode(errors="replace"), 124
    took = time.monotonic() - start
    rows.add(step, seconds=round(took, 1), code=code, load=load(), done=code == 0, said=said[-2000:] if code else "")
    print(f"{step} on {device}: {took:.0f} s{'' if code == 0 else f', exit code {code}: {said[-600:]}'}", flush=True)
    return code == 0


class gpu_load:  # noqa: N801 - used like a function
    """Within the block, nvidia-smi samples the GPU; the function that it gives returns the means."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Any:
        if shutil.which("nvidia-smi"):
            query = ["--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "--loop-ms=500"]
            self._process = subprocess.Popen(["nvidia-smi", *query], stdout=self._file.open("w"))
        return self._means

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()

    def _means(self) -> Row:
        if not self._process:
            return {}
        lines = [line.split(",") for line in self._file.read_text().splitlines() if line.count(",") == 1]
        values = np.array([[float(value) for value in line] for line in lines if "N" not in line[0]])
        if not len(values):
            return {}
        return {"gpu_percent": round(float(values[:, 0].mean()), 1), "most_memory_mib": float(values[:, 1].max())}


class Rows:
    """What was found so far, a JSON object a line; each belongs to a step."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def add(self, step: str, **found: Any) -> None:
        with self._file.open("a") as opened:
            opened.write(json.dumps({"step": step, **found}) + "\n")

    def of(self, step: str) -> list[Row]:
        """Those of a step's last run."""
        found: list[Row] = []
        for row in self._all():
            if row["step"] == step:
                found = [] if row.get("started") else [*found, row]
        return found

    def started(self) -> list[str]:
        return [*dict.fromkeys(row["step"] for row in self._all() if row.get("started"))]

    def done(self, step: str) -> bool:
        return any(row.get("done") for row in self.of(step))

    def _all(self) -> list[Row]:
        return [json.loads(line) for line in self._file.read_text().splitlines()] if self._file.is_file() else []


def one_step(options: argparse.Namespace) -> None:
    """The step itself; its process ends here."""
    rows, sizes = Rows(options.out / "rows.jsonl"), REHEARSAL if options.rehearse else Sizes()
    name, _, argument = options.step.partition("-")
    try:
        for row in STEPS[name](options, sizes, argument):
            rows.add(options.step, **row)
    except SceneGenError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        leave(1)
    leave(0)


def leave(code: int) -> None:
    sys.stdout.flush()
    os._exit(code)  # bpy may hang at exit after a render


def device_step(options: argparse.Namespace, sizes: Sizes, _: str) -> Iterator[Row]:
    """Facts of the machine, then two renders: the first one loads the kernels."""
    from bench import Bench, machine_facts

    yield machine_facts()
    bench = Bench.open(options.device, dataset(sizes, 64, views=1))
    for which in ("first", "second"):
        start = time.perf_counter()
        scene = bench.build(0, 64)
        image, phases = scene.beauty(0, bench.settings(RenderConfig(samples=4)))
        if not image.any():
            raise SceneGenError(f"{options.device} rendered a black image")
        yield {"render": which, "device": bench.device_name, "seconds": time.perf_counter() - start, **phases}


def views_step(options: argparse.Namespace, sizes: Sizes, _: str) -> Iterator[Row]:
    """Views as scenes are made, and as the official generator makes them; parts in seconds."""
    from bench import Bench

    bench = Bench.open(options.device, dataset(sizes, max(sizes.views_px), sizes.views))
    for index in range(sizes.scenes):
        for px in sizes.views_px:
            for name in ("ours", "official"):
                settings = limited(bench.named_settings(name), sizes)
                yield from ({"px": px, "settings": name, **row} for row in bench.timed_scene(index, px, settings))
            ours = limited(bench.named_settings("ours"), sizes)
            for name, changed in (
                ("not denoised", replace(ours, render=replace(ours.render, denoise=False))),
                ("denoised on the CPU", replace(ours, denoise_on_gpu=False)),
            ):
                scene = bench.build(index, px)
                for view in range(2):
                    start = time.perf_counter()
                    _, phases = scene.beauty(view % sizes.views, changed)
                    yield {"px": px, "settings": name, "view": view, "beauty_s": time.perf_counter() - start, **phases}


def workers_step(options: argparse.Namespace, sizes: Sizes, count: str) -> Iterator[Row]:
    """Whole scenes with `count` workers at once; the calibration that follows goes into a file of its own."""
    from scenegen.jobs.resources import plan_workers, this_machine
    from scenegen.planning.calibration import Setup
    from scenegen.planning.device_probe import probe
    from scenegen.planning.forecast import Forecast
    from scenegen.planning.trials import calibrate

    config = preset("arsg", SCENES_OF_THE_PAPER)
    if sizes.samples:
        config = replace(config, render=replace(config.render, samples=sizes.samples))
    devices = probe()
    machine = replace(this_machine(), gpus=max([0, *(len(names) for kind, names in devices.kinds if kind != "CPU")]))
    setup = Setup.here(
        config, devices, options.device, machine, plan_workers(machine, config, JobConfig(workers=int(count)))
    )
    if options.rehearse:
        setup = replace(setup, gpus=1, workers=int(count), threads=1)
    found = calibrate(config, options.device, setup, sizes.trials)
    (options.out / f"calibration-{count}-workers.json").write_text(found.to_json())
    forecast = Forecast.of(config, setup.plan(), found)
    yield {
        "workers": setup.workers,
        "scene_worker_s": forecast.seconds,
        "views_per_hour": 3600 * config.camera.num_views * setup.workers / forecast.seconds,
        "gpu_days": forecast.gpu_days,
        "bytes": forecast.total_bytes,
        "said": [forecast.describe(), *found.describe()],
        "cost_s": dataclasses.asdict(found.seconds),
    }


def exact_step(options: argparse.Namespace, sizes: Sizes, _: str) -> Iterator[Row]:
    """The device's exact passes against the CPU's, scene by scene."""
    from bench import Bench, differences

    bench = Bench.open(options.device, dataset(sizes, sizes.exact_px, sizes.views))
    there = [bench.build(index, sizes.exact_px).exact() for index in range(sizes.scenes)]
    bench.use_cpu()
    for index in range(sizes.scenes):
        for view, here in enumerate(bench.build(index, sizes.exact_px).exact()):
            yield {"scene": index, "view": view, **differences(there[index][view], here, DEPTH_TOLERANCE_M)}


def error_step(options: argparse.Namespace, sizes: Sizes, _: str) -> Iterator[Row]:
    """Errors of the device's images, and of the CPU's at the same settings, against the CPU's references."""
    from bench import Bench
    from references import errors, make, read

    file = options.references
    if not file or not file.is_file():
        file = options.out / "references.npz"
        make(file, sizes.scenes, *((4, 32) if options.rehearse else (1024, 96)))
    bench = Bench.open(options.device, dataset(sizes, 64, 1))
    for reference in read(file):
        for name in ("ours", "official"):
            scene = bench.build_spec(reference.spec)
            start = time.perf_counter()
            image, _ = scene.beauty(0, limited(bench.named_settings(name), sizes))
            row = {"scene": reference.spec.scene_index, "px": reference.px, "settings": name}
            yield {**row, "seconds": time.perf_counter() - start, **errors(image, reference, name)}


STEPS = {
    "device": device_step,
    "views": views_step,
    "workers": workers_step,
    "exact": exact_step,
    "error": error_step,
}


def dataset(sizes: Sizes, px: int, views: int) -> DatasetConfig:
    camera = CameraConfig(num_views=views, resolution_px=px)
    return DatasetConfig(num_scenes=10_000, assets=AssetsConfig(split="all"), camera=camera)


def limited(settings: Any, sizes: Sizes) -> Any:
    """These settings with the samples of a rehearsal."""
    return replace(settings, render=replace(settings.render, samples=sizes.samples)) if sizes.samples else settings


def summarise(rows: Rows, options: argparse.Namespace) -> None:
    """Everything found so far, in one file for people."""
    found: Row = {
        "command": " ".join(["measure.py", *sys.argv[1:]]),
        "date": date.today().isoformat(),
        "rehearsal": options.rehearse,
        "hardware": f"{os.cpu_count()} cores, {platform.machine()}",
    }
    for step in rows.started():
        found[step] = [{key: value for key, value in row.items() if key != "step"} for row in rows.of(step)]
    found["seconds a view"] = view_table(rows.of("views"))
    (options.out / "gpu_rendering.json").write_text(json.dumps(found, indent=1) + "\n")


def view_table(rows: Sequence[Row]) -> Row:
    """By size and settings: the mean seconds of each part of a view, and the share that is neither traced nor denoised.

    A scene's own part (assets, its first synchronisation) is divided among the 30 views of a scene.
    """
    table: Row = {}
    for px, name in dict.fromkeys((row["px"], row["settings"]) for row in rows if "settings" in row):
        mine = [row for row in rows if (row.get("px"), row.get("settings")) == (px, name)]
        later = [row for row in mine if row.get("view", 0) > 0]
        parts = [key for key in later[0] if key.endswith("_s")] if later else []
        means = {part: float(np.mean([row[part] for row in later])) for part in parts}
        scenes = [row["scene_s"] for row in mine if "scene_s" in row]
        if scenes:
            means["scene_s"] = float(np.mean(scenes)) / 30
        whole = sum(value for part, value in means.items() if part in WHOLE)
        traced = means.get("traced_s", 0.0)
        table[f"{px} px, {name}"] = {
            **means,
            "view_s": whole,
            "not_traced_share": 1 - traced / whole if whole else None,
        }
    return table


WHOLE = ("beauty_s", "exact_s", "read_s", "facts_s", "encode_s", "check_s", "scene_s")


if __name__ == "__main__":
    sys.exit(main())
