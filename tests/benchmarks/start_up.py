"""How long commands take before they do what they were asked for, and what of it is ours.

Run: python tests/benchmarks/start_up.py [answers] [completion] [first_scene] [--against FOLDER] [--rounds 3]
Writes results/start_up.json: the best of some rounds of every help page, of a wrong option and of a missing place; the
first scene of `scenegen render` by phase; `fixer-complete` until its first sampler step and to its end, one object.
--against: the sources of another version, measured alternately, because machines are noisy. Compiled Python files are
used as after a first start. CPU seconds are those of a process and of the children that it waits for.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).parent / "results"
MODULES = {
    "scenegen": "scenegen.cli",
    "train-fixer": "pipelines.train.cli",
    "fixer-complete": "pipelines.complete.cli",
    "fixer-evaluate": "pipelines.evaluate.cli",
}
SUBCOMMANDS = ("plan", "render", "objects", "annotate", "verify", "status", "merge", "view", "scene", "assets")
OF_ASSETS = ("list", "fetch", "prepare", "check", "notice")
ANSWERS = (
    *(f"{program} --help" for program in MODULES),
    *(f"scenegen {name} --help" for name in SUBCOMMANDS),
    *(f"scenegen assets {name} --help" for name in OF_ASSETS),
    "scenegen render --num-scene 3",
    "scenegen view --device cpu",
    "fixer-complete --imge x",
    "scenegen status --data nowhere",
    "fixer-complete --image nowhere.png --masks nowhere.png --out scene.glb",
)
RENDER = "scenegen render --preset preview --num-scenes 1 --stages render"


@dataclass(frozen=True)
class Took:
    """Of one command. code: its exit code."""

    wall_s: float
    cpu_s: float
    code: int = 0


def command(line: str) -> list[str]:
    program, *words = line.split()
    return [sys.executable, "-m", MODULES[program], *words]


def environment(sources: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(sources), "OMP_NUM_THREADS": "1"}


def run(line: str, sources: Path, folder: Path) -> Took:
    """Of a command that may end with any code."""
    started = time.perf_counter()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command(line), cwd=folder, env=environment(sources), **quiet)
    _, status, used = os.wait4(process.pid, 0)
    return Took(time.perf_counter() - started, used.ru_utime + used.ru_stime, os.waitstatus_to_exitcode(status))


def answers(versions: dict[str, Path], rounds: int) -> dict[str, dict[str, dict]]:
    """Line → version → the least CPU and wall seconds of some rounds."""
    found: dict[str, dict[str, dict]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for line in ANSWERS:
            took: dict[str, list[Took]] = {name: [] for name in versions}
            for number in range(rounds + 1):
                for name, sources in versions.items():
                    each = run(line, sources, Path(folder))
                    if number:  # the first compiles
                        took[name].append(each)
            found[line] = {
                name: asdict(Took(min(each.wall_s for each in all_), min(each.cpu_s for each in all_)))
                for name, all_ in took.items()
            }
    return found


def first_scene(sources: Path, renderer: str) -> dict[str, float]:
    """Seconds from the start of `scenegen render` until each of its phases has ended."""
    with tempfile.TemporaryDirectory() as folder:
        data, log = Path(folder) / "data", Path(folder) / "log.jsonl"
        started = time.time()
        line = f"{RENDER} --renderer {renderer} --out {data} --log-json {log}"
        took = run(line, sources, Path(folder))
        assert took.code == 0, f"{line} ended with {took.code}"
        made, shard = (json.loads(line) for line in log.read_text().splitlines())
        return {
            "ray_up_s": (data / "config.json").stat().st_mtime - started,  # written as soon as Ray has said what it has
            "worker_ready_s": made["time"] - made["seconds"] - started,
            "scene_made_s": made["time"] - started,
            "shard_written_s": shard["time"] - started,
            "end_s": took.wall_s,
            "cpu_s_of_the_scene": made["cpu_seconds"],
            "cpu_s_of_the_command": took.cpu_s,
        }


def one_completion(sources: Path, data: Path, instance: int) -> dict[str, float]:
    """Seconds from the start of `fixer-complete` to its first sampler step, and to its end."""
    with tempfile.TemporaryDirectory() as folder:
        line = f"fixer-complete --shards {data} --view 0 --instances {instance} --out {folder}/scene.glb"
        started = time.perf_counter()
        process = subprocess.Popen(
            command(line), env=environment(sources), stderr=subprocess.PIPE, text=True, cwd=folder
        )
        assert process.stderr
        first = next(time.perf_counter() - started for said in process.stderr if said.startswith("coarse"))
        process.stderr.read()
        _, code, used = os.wait4(process.pid, 0)
        assert code == 0
        return {
            "first_step_s": first,
            "end_s": time.perf_counter() - started,
            "cpu_s": used.ru_utime + used.ru_stime,
        }


def completions(versions: dict[str, Path], rounds: int) -> dict[str, dict[str, float]]:
    """The round with the earliest first step, of a scene of boxes; torch alone beside it."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        run(f"{RENDER} --renderer boxes --out {data}", ROOT, Path(folder))
        sys.path.insert(0, str(ROOT))
        from scenegen.contract.dataset import Dataset

        seen = max(Dataset.open(data).view(0).objects, key=lambda each: each.facts.visible_px)
        took = {
            name: [one_completion(sources, data, seen.instance_id) for _ in range(rounds)]
            for name, sources in versions.items()
        }
    best = {name: min(all_, key=lambda each: each["first_step_s"]) for name, all_ in took.items()}
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return {**best, "import torch": {"wall_s": time.perf_counter() - started}}


def first_scenes(versions: dict[str, Path], rounds: int) -> dict[str, dict[str, dict]]:
    """Renderer → version → the round that ended first; Blender's, whose scene takes most of it, once."""
    return {
        renderer: {
            name: min((first_scene(sources, renderer) for _ in range(count)), key=lambda each: each["end_s"])
            for name, sources in versions.items()
        }
        for renderer, count in (("boxes", rounds), ("blender", 1))
    }


PARTS = {"answers": answers, "completion": completions, "first_scene": first_scenes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART", help="default: all")
    parser.add_argument("--against", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    versions = {**({"before": options.against.resolve()} if options.against else {}), "now": ROOT}
    results = RESULTS / "start_up.json"
    report = json.loads(results.read_text()) if options.parts and results.exists() else {}
    for part in options.parts or PARTS:
        report[part] = {
            "command": f"python tests/benchmarks/start_up.py {part}{' --against BEFORE' if options.against else ''}",
            "hardware": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
            "date": date.today().isoformat(),
            "took": PARTS[part](versions, options.rounds),
        }
        results.write_text(json.dumps(report, indent=1) + "\n")
        print(json.dumps(report[part], indent=1))


if __name__ == "__main__":
    main()
