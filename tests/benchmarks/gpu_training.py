"""Training on one GPU: samples/s, memory and share of the bf16 peak for the coarse stage and the texturer.

    python tests/benchmarks/gpu_training.py [--size official] [--stages coarse texturer] [--out FILE]

Random weights, batches of the official shapes that lie on the device (tests/benchmarks/official_size.py), so that
nothing but the device is measured; `Learner.step` with everything that training does. The peak is what one large bf16
matrix product reaches on the same card in the same run. Floating-point operations are counted from the kernels of one
forward and backward pass (torch.utils.flop_counter) without recomputation and with attention kernels that the counter
knows: the share of the peak is of useful work.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from models.execution import Execution, compile_blocks  # noqa: E402
from pipelines.train.interfaces.stage import LoopRecipe, TrainingModule  # noqa: E402
from pipelines.train.optimisation.distributed import Ranks  # noqa: E402
from pipelines.train.optimisation.learner import Learner  # noqa: E402
from pipelines.train.optimisation.parallel import Parallel  # noqa: E402
from tests.benchmarks.official_size import System  # noqa: E402

RECIPE = LoopRecipe(steps=1000, batch_size=1, learning_rate=1e-5, micro_batch_tokens=1)


@dataclass(frozen=True)
class Variant:
    """One way to train: samples of a micro-batch, blocks recomputed in the backward pass, blocks compiled."""

    samples: int
    checkpointed: bool
    compiled: bool

    @property
    def name(self) -> str:
        words = [f"{self.samples} samples"]
        words += ["recomputed blocks"] if self.checkpointed else []
        words += ["compiled blocks"] if self.compiled else []
        return ", ".join(words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("official", "small", "tiny"), default="official")
    parser.add_argument("--stages", nargs="+", choices=("coarse", "texturer"), default=["coarse", "texturer"])
    parser.add_argument("--samples", nargs="+", type=int, default=[16, 32])
    parser.add_argument("--few", type=int, default=4)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    result: dict[str, Any] = {
        "command": " ".join(["python tests/benchmarks/gpu_training.py", *sys.argv[1:]]),
        "date": date.today().isoformat(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "size": given.size,
        "weights": "random",
        "matrix_product_tflops": round(peak_tflops(device), 1),
    }
    for stage in given.stages:
        result[stage] = {}
        for variant in variants(given.few, given.samples, not given.no_compile):
            row = attempt(lambda s=stage, v=variant: measure(s, v, given.size, device, given.steps))
            if "samples_per_s" in row:
                row["share_of_peak"] = round(row["useful_tflops"] / result["matrix_product_tflops"], 3)
            result[stage][variant.name] = row
            print(stage, variant.name, json.dumps(row), flush=True)
            if given.out:
                given.out.write_text(json.dumps(result, indent=1) + "\n")


def variants(few: int, many: list[int], with_compile: bool) -> list[Variant]:
    """Stored activations only fit for few samples; recomputed ones for many."""
    ways = (False, True) if with_compile else (False,)
    return [Variant(few, False, compiled) for compiled in ways] + [
        Variant(samples, True, compiled) for samples in many for compiled in ways
    ]


def attempt(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except torch.OutOfMemoryError:
        return {"failed": "out of memory"}
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def measure(stage: str, variant: Variant, size: str, device: torch.device, steps: int) -> dict[str, Any]:
    system = System.of(size, device, Execution(checkpoint_blocks=variant.checkpointed))
    module: TrainingModule = system.coarse() if stage == "coarse" else system.texturer()
    batch = system.structure_batch(variant.samples) if stage == "coarse" else system.texture_batch(variant.samples)
    for network in (module, *module.frozen()):
        network.to(device)
    module.train()
    one = system.structure_batch(1) if stage == "coarse" else system.texture_batch(1)
    operations = variant.samples * useful_operations(module, one, device)
    if variant.compiled:
        for network in (module, *module.frozen()):
            compile_blocks(network)
    alone = Ranks(0, 1, device)
    learner = Learner(Parallel(module, alone, "ddp"), RECIPE, alone, torch.bfloat16)
    first_s = seconds(lambda: learner.step(0, [batch]), device)
    for warm in (1, 2):
        learner.step(warm, [batch])
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    step_s = statistics.median(seconds(lambda n=n: learner.step(n, [batch]), device) for n in range(3, 3 + steps))
    forward_s = statistics.median(seconds(lambda: bare_step(module, batch, device), device) for _ in range(steps))
    module.zero_grad(set_to_none=True)
    return {
        "samples_per_s": round(variant.samples / step_s, 2),
        "step_ms": round(1000 * step_s, 1),
        "step_over_bare_forward_backward": round(step_s / forward_s, 3),
        "useful_tflops": round(operations / step_s / 1e12, 1),
        "tflop_a_sample": round(operations / variant.samples / 1e12, 2),
        "first_step_s": round(first_s, 1),
        "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 1) if device.type == "cuda" else None,
    }


def bare_step(module: TrainingModule, batch: Any, device: torch.device) -> None:
    with torch.autocast(device.type, torch.bfloat16):
        loss = module(batch).loss_B.mean()
    loss.backward()


def useful_operations(module: TrainingModule, batch: Any, device: torch.device) -> float:
    """Of one forward and backward pass without recomputation, and with attention that the counter knows."""
    networks = [m for network in (module, *module.frozen()) for m in network.modules() if hasattr(m, "execution")]
    before = [m.execution for m in networks]
    for m in networks:
        m.execution = Execution(attention="bucketed")
    with FlopCounterMode(display=False) as counter:
        bare_step(module, batch, device)
    module.zero_grad(set_to_none=True)
    for m, execution in zip(networks, before, strict=True):
        m.execution = execution
    return float(counter.get_total_flops())


def peak_tflops(device: torch.device, edge: int = 8192) -> float:
    edge = edge if device.type == "cuda" else 512
    a, b = (torch.randn(edge, edge, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    took = seconds(lambda: [a @ b for _ in range(10)], device) / 10
    return 2 * edge**3 / took / 1e12


def seconds(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
