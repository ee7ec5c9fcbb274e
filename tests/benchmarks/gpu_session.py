"""All that is to be measured on a GPU, on a machine that is there for minutes.

    python tests/benchmarks/gpu_session.py --out OUT --minutes 9 [--data PARTS] [--size official] [--only NAME ...]

In the order of their worth, each in a process of its own with a limit of its own: one that fails, hangs or runs out of
memory costs no more than itself. OUT/results.json has after each step what all steps so far have measured, and
OUT/NAME.log the last lines of each that failed. A step that does not fit into the minutes left is given what is left,
and left out below a minute. --data: what `train_on_gpu.py pack --features` made; without it the steps that read data
are left out. `--size tiny` is the same on a CPU, to try it, with limits five times as long.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.benchmarks.train_on_gpu import unpack  # noqa: E402

LEAST_S = 60.0
LOG_CHARACTERS = 6000
TINY_PATIENCE = 5
SLAT_STAGES = ("slat_vae", "slat_base", "gaussian_decoder", "mesh_decoder", "texturer")


@dataclass(frozen=True)
class Step:
    """One command that writes JSON to a file of its own, or whose exit code is the result.

    limit_s: seconds. needs_data: whether it reads the packed dataset. writes: whether it takes `--out FILE`.
    """

    name: str
    limit_s: float
    command: tuple[str, ...]
    needs_data: bool = False
    writes: bool = True
    environment: dict[str, str] = field(default_factory=dict)


def steps(size: str, data: Path, run: Path) -> list[Step]:
    """In the order of their worth."""
    tiny = size == "tiny"
    few, many = (("1",), ("1", "2")) if tiny else (("4",), ("16", "8", "4"))

    def training(name: str, limit_s: float, stage: str, *options: str, **more: Any) -> Step:
        script = "tests/benchmarks/gpu_training.py"
        count = "1" if tiny else "4"
        return Step(name, limit_s, (script, "--size", size, "--stage", stage, "--steps", count, *options), **more)

    def completion(name: str, limit_s: float, *options: str) -> Step:
        script = "tests/benchmarks/gpu_completion.py"
        return Step(name, limit_s, (script, "--size", size, *(("--steps", "2") if tiny else ()), *options))

    def small(stage: str, *options: str) -> Step:
        command = ("-m", "pipelines.train.cli", "--shards", str(data / "shards-0"), "--objects", str(data / "objects"))
        command += ("--size", "tiny" if tiny else "small", "--encoders", "efficientnet_lite0", "--run-dir", str(run))
        command += ("--stage", stage, "--max-steps", "2" if tiny else "30", "--validation-samples", "2", *options)
        # A rasteriser that is built at its first use is built for this card alone.
        return Step(f"small_{stage}", 100, command, True, False, {"TORCH_CUDA_ARCH_LIST": "9.0", "MAX_JOBS": "16"})

    tests = ("-m", "pytest", "-m", "gpu", "-q", "tests/models", "tests/pipelines/rendering")
    return [
        training("texturer_compiled", 180, "texturer", "--samples", *many, "--recompute", "cheap", "--compile"),
        training("coarse_compiled", 150, "coarse", "--samples", *many, "--recompute", "cheap", "--compile"),
        training(
            "coarse_with_data", 80, "coarse", "--samples", many[0], "--compile", "--data", str(data), needs_data=True
        ),
        completion("completion", 110, "--instances", "1", *(() if tiny else ("20", "100")), "--memory-gb", "24"),
        *(small(stage) for stage in SLAT_STAGES),
        Step("tests", 60, (*tests, "--collect-only") if tiny else tests, writes=False),
        training("fine_compiled", 60, "fine", "--samples", many[0], "--recompute", "cheap", "--compile"),
        training("texturer_compiled_stored", 60, "texturer", "--samples", *few, "--recompute", "nothing", "--compile"),
        training("texturer", 60, "texturer", "--samples", *many, "--recompute", "cheap"),
        training("coarse", 60, "coarse", "--samples", *many, "--recompute", "cheap"),
        training("coarse_blocks", 60, "coarse", "--samples", many[0], "--recompute", "blocks", "--compile"),
    ]


def main() -> int:
    """The number of steps that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--size", choices=("official", "tiny"), default="official")
    parser.add_argument("--only", nargs="+", help="names of steps")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    end, results = time.monotonic() + 60 * given.minutes, {}
    patience = TINY_PATIENCE if given.size == "tiny" else 1
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        if given.data:
            unpack(given.data, data)
        for step in steps(given.size, data, Path(folder) / "run"):
            if (given.only and step.name not in given.only) or (step.needs_data and not given.data):
                continue
            left_s = end - time.monotonic()
            results[step.name] = (
                took(step, patience * step.limit_s, left_s, given.out)
                if left_s > LEAST_S
                else {"left out": "no time left"}
            )
            (given.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
            print(step.name, json.dumps(results[step.name])[:300], flush=True)
    return sum("exit" in result and result["exit"] != 0 for result in results.values())


def took(step: Step, limit_s: float, left_s: float, out: Path) -> dict[str, Any]:
    """What a step measured, its exit code and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        file, log = Path(folder) / "result.json", Path(folder) / "log"
        command = [sys.executable, *step.command, *(("--out", str(file)) if step.writes else ())]
        started = time.monotonic()
        code = _run(command, min(limit_s, left_s), log, step.environment)
        result: dict[str, Any] = {"exit": code, "seconds": round(time.monotonic() - started, 1)}
        if file.exists():
            result["measured"] = json.loads(file.read_text())
        last = log.read_text(errors="replace")[-LOG_CHARACTERS:]
        if code:
            (out / f"{step.name}.log").write_text(last)
        elif not step.writes:
            result["last_line"] = last.strip().splitlines()[-1:]
        return result


def _run(command: Sequence[str], limit_s: float, log: Path, environment: dict[str, str]) -> int | str:
    """The exit code, or "stopped" at the limit, with all processes that the command started."""
    with log.open("w") as lines:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=lines,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
                **environment,
            },
        )
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return "stopped"


if __name__ == "__main__":
    sys.exit(main())
