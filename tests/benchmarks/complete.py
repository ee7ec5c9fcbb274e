"""Completion: what a guided sampler step costs in several ways, and time and memory at 5, 20 and 100 instances.

    python tests/benchmarks/complete.py step [--repeats 1] [--batch 2]
    python tests/benchmarks/complete.py scene [--instances 5 20 100] [--memory-gb 0.5]

Writes results/complete_step.json and results/complete_scene.json (or complete_scene_0.5gb.json).
step: a structure completer of official width, tokens and contexts, with 2 base blocks and 1 control block instead of
24 and 12 (the same proportion), random weights. CPU seconds of one thread, best of the repeats, the ways taking turns:
the ratios say what the ways are worth, not how long a GPU takes.
scene: the whole pipeline with tiny random networks (tests/complete/tiny_pipeline.py), each number of instances in a
process of its own. Peak is the process's resident memory.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "complete")]

from models.completer import CompleterCondition, StructureCompleter  # noqa: E402
from models.structure_flow import FlowConfig, SparseStructureFlow  # noqa: E402
from models.weights import freeze  # noqa: E402

RESULTS = Path(__file__).parent / "results"
TOKENS, SCENE_TOKENS, WIDTH = 1374, 1369, 1024  # official
STEPS = 25  # over which what is kept is paid for once


def step(arguments: argparse.Namespace) -> dict:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sizes = {"resolution": 16, "in_channels": 8, "out_channels": 8, "model_channels": WIDTH, "cond_channels": WIDTH}
    config = FlowConfig(num_blocks=2, num_heads=16, patch_size=1, qk_rms_norm=True, **sizes)
    base = freeze(SparseStructureFlow(config))
    branch = freeze(StructureCompleter(FlowConfig(**{**vars(config), "num_blocks": 1})).start_from(base))
    for parameter in (*base.parameters(), *branch.parameters()):
        parameter += 0.02 * torch.randn_like(parameter)  # nothing exactly zero, so that the ways can be compared
    B = arguments.batch
    x, t_B, ratio_B = torch.randn(B, 8, 16, 16, 16), torch.full((B,), 700.0), torch.full((B,), 1000.0)
    cond = CompleterCondition(
        torch.randn(B, SCENE_TOKENS + TOKENS, WIDTH),
        torch.randn(B, 2 * TOKENS, WIDTH),
        torch.randn(B, TOKENS, WIDTH),
        torch.randn(B, 8, 16, 16, 16),
        torch.rand(B, 64, 16, 16, 16),
    )
    nothing = cond.zeroed()
    kept, kept_nothing = branch.prepare(cond, base), branch.prepare(nothing, base)
    both = kept.with_negative()

    def passes(*conditions: CompleterCondition) -> Tensor:
        return torch.cat([branch(x, t_B, one, ratio_B, base) for one in conditions])

    ways: dict[str, Callable[[], Tensor]] = {
        "two passes": lambda: passes(cond, nothing),
        "two passes, keys and values kept": lambda: passes(kept, kept_nothing),
        "one pass, kept; no contexts and one control state for the unguided half": lambda: branch(
            torch.cat([x, x]), torch.cat([t_B, t_B]), both, torch.cat([ratio_B, ratio_B]), base
        ),
    }
    with torch.no_grad():
        expected = ways["two passes"]()
        difference = max(float((way() - expected).abs().max() / expected.abs().max()) for way in ways.values())
        seconds = best_of(ways, arguments.repeats)
        preparing = best_of({"prepare": lambda: branch.prepare(cond, base)}, 1)["prepare"]
    naive = seconds["two passes"]
    return {
        "cpu_seconds_of_a_guided_step": {name: round(value, 2) for name, value in seconds.items()},
        "times_as_fast": {name: round(naive / value, 3) for name, value in seconds.items()},
        "cpu_seconds_to_prepare_once": round(preparing, 2),
        "instances": B,
        "steps_it_is_paid_for": STEPS,
        "largest_difference_over_largest_value": difference,
    }


def best_of(ways: dict[str, Callable[[], Tensor]], repeats: int) -> dict[str, float]:
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.process_time()
            way()
            best[name] = min(best[name], time.process_time() - start)
    return best


def scene(arguments: argparse.Namespace) -> dict:
    from tiny_pipeline import write_tiny_pipeline

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = write_tiny_pipeline(Path(folder) / "tiny", steps=4)
        rows = [_in_a_process(checkpoint, count, arguments.memory_gb) for count in arguments.instances]
    return {"networks": "tiny, random weights", "sampler_steps": 4, "memory_gb": arguments.memory_gb, "rows": rows}


def _in_a_process(checkpoint: Path, count: int, memory_gb: float | None) -> dict:
    command = [sys.executable, __file__, "child", str(checkpoint), str(count), str(memory_gb or 0)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    row = json.loads(done.stdout.splitlines()[-1])
    print(row, flush=True)
    return row


def child(checkpoint: str, count: int, memory_gb: float) -> dict:
    """One scene of `count` discs on a slanted plane."""
    from pipelines.complete import Camera, FixerPipeline, Settings

    torch.set_num_threads(1)
    pipe = FixerPipeline.from_pretrained(checkpoint, device="cpu")
    loaded = _peak_mib()
    rgb, ids, depth = discs(count)
    camera = Camera.from_fov(1.0, (rgb.shape[1], rgb.shape[0]))
    start = time.process_time()
    result = pipe(rgb, ids, depth, camera, settings=Settings(gaussians=False), memory_gb=memory_gb or None)
    return {
        "instances": count,
        "completed": len(result.completed),
        "cpu_seconds_per_instance": round((time.process_time() - start) / count, 2),
        "wall_seconds_per_instance_by_step": {name: round(s / count, 3) for name, s in result.seconds.items()},
        "peak_mib_after_loading": loaded,
        "peak_mib": _peak_mib(),
    }


def discs(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, ids and depth: discs of 30 px in rows."""
    across = int(np.ceil(np.sqrt(count)))
    edge = 40 * across
    v, u = np.mgrid[:edge, :edge]
    place = (v // 40) * across + u // 40
    inside = np.hypot(v % 40 - 20, u % 40 - 20) < 15
    ids = np.where(inside & (place < count), place + 1, 0).astype(np.int32)
    rgb = np.random.default_rng(0).integers(0, 256, (edge, edge, 3), dtype=np.uint8)
    return rgb, ids, (3 + 0.002 * v + 0.001 * u).astype(np.float32)


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    one = commands.add_parser("step")
    one.add_argument("--repeats", type=int, default=1)
    one.add_argument("--batch", type=int, default=2, help="instances")
    many = commands.add_parser("scene")
    many.add_argument("--instances", type=int, nargs="+", default=[5, 20, 100])
    many.add_argument("--memory-gb", type=float, default=None)
    given = parser.parse_args(arguments)
    facts = {
        "command": " ".join(["python tests/benchmarks/complete.py", *(arguments or sys.argv[1:])]),
        "date": date.today().isoformat(),
        "hardware": f"{platform.machine()}, one thread of a shared machine",
        "torch": torch.__version__,
    }
    result = facts | (step(given) if given.what == "step" else scene(given))
    budget = getattr(given, "memory_gb", None)
    name = f"complete_{given.what}" + (f"_{budget:g}gb" if budget else "")
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        print(json.dumps(child(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
    else:
        main()
