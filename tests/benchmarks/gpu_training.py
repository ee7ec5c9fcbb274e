"""Training on one GPU: samples/s, memory and share of the bf16 peak of the coarse and fine stage and the texturer.

    python tests/benchmarks/gpu_training.py --stage texturer --samples 4 16 --recompute nothing cheap --compile
    python tests/benchmarks/gpu_training.py --stage coarse --samples 16 --recompute cheap --compile --data DIR

Random weights, batches of the official shapes that lie on the device (tests/benchmarks/official_size.py), so that
nothing but the device is measured; `Learner.step` with everything that training does. Two batches take turns; the
texturer's differ in voxels. Variants share what is compiled: first_step_s of the first one is the cold start. The peak
is what one large bf16 matrix product reaches on the same card in the same run. Floating-point operations are counted
from the kernels of one forward and backward pass (torch.utils.flop_counter) without recomputation and with attention
kernels that the counter knows: the share of the peak is of useful work.

--data: also whole steps (coarse and fine) on a dataset, as train_on_gpu.py packs and unpacks it, through the data path,
with as many loading processes as there are cores but one; what they take longer than steps of the same size on the
device is what the data path costs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, get_args

import torch
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from models.execution import Execution, Recompute, compile_blocks  # noqa: E402
from models.sparse.segments import resolve_kernel  # noqa: E402
from pipelines.train.data.loader import training_batches  # noqa: E402
from pipelines.train.data.options import DataLocation, DataOptions  # noqa: E402
from pipelines.train.data.sources.common import STRUCTURE_TOKENS  # noqa: E402
from pipelines.train.data.sources.structure import StructureSource  # noqa: E402
from pipelines.train.interfaces.loading import LoaderOptions  # noqa: E402
from pipelines.train.interfaces.stage import LoopRecipe, TrainingModule  # noqa: E402
from pipelines.train.optimisation.distributed import Ranks  # noqa: E402
from pipelines.train.optimisation.learner import Learner  # noqa: E402
from pipelines.train.optimisation.parallel import Parallel  # noqa: E402
from tests.benchmarks.official_size import RADII_VOXELS, SizeName, StageName, System  # noqa: E402

RECIPE = LoopRecipe(steps=1000, batch_size=1, learning_rate=1e-5, micro_batch_tokens=1)
WARM_STEPS = 2


@dataclass(frozen=True)
class Variant:
    """One way to train: samples of a micro-batch, what the backward pass computes again, blocks compiled."""

    samples: int
    recompute: Recompute
    compiled: bool

    @property
    def name(self) -> str:
        return f"{self.samples} samples, {self.recompute} recomputed{', compiled' if self.compiled else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=get_args(SizeName), default="official")
    parser.add_argument("--stage", choices=get_args(StageName), default="coarse")
    parser.add_argument("--samples", nargs="+", type=int, default=[4, 8, 16])
    parser.add_argument("--recompute", nargs="+", choices=get_args(Recompute), default=["cheap"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--data", type=Path, help="a folder that train_on_gpu.py unpacked")
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
        "matrix_product_tflops": round(peak_tflops(device), 3),
        given.stage: {},
    }
    for variant in (Variant(s, r, given.compile) for r in given.recompute for s in given.samples):
        row = attempt(lambda v=variant: measure(v, given, device))
        if "samples_per_s" in row:
            row["share_of_peak"] = round(row["useful_tflops"] / result["matrix_product_tflops"], 3)
        result[given.stage][variant.name] = row
        print(given.stage, variant.name, json.dumps(row), flush=True)
        if given.out:
            given.out.write_text(json.dumps(result, indent=1) + "\n")


def attempt(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except torch.OutOfMemoryError:
        return {"failed": "out of memory"}
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def measure(variant: Variant, given: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    system = System.of(given.size, device, Execution(recompute=variant.recompute))
    module = system.module(given.stage)
    for network in (module, *module.frozen()):
        network.to(device)
    module.train()
    batches = [system.batch(given.stage, variant.samples, first=first) for first in (0, 1)]
    kinds = len(RADII_VOXELS) if given.stage == "texturer" else 1
    by_kind = [useful_operations(module, system.batch(given.stage, 1, first=kind), device) for kind in range(kinds)]
    operations = sum(by_kind[(first + n) % kinds] for first in (0, 1) for n in range(variant.samples)) / 2
    if variant.compiled:
        for network in (module, *module.frozen()):
            compile_blocks(network, ragged=resolve_kernel("auto", device, torch.bfloat16) == "varlen")
    alone = Ranks(0, 1, device)
    learner = Learner(Parallel(module, alone, "ddp"), RECIPE, alone, torch.bfloat16)

    def step(number: int, samples: Any = None) -> float:
        return seconds(lambda: learner.step(number, samples or [batches[number % 2]]), device)

    first_s = step(0)
    for warm in range(WARM_STEPS):
        step(1 + warm)
    graphs = graphs_made()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    step_s = statistics.mean(step(n) for n in range(4, 4 + 2 * max(1, given.steps // 2)))
    row = {
        "samples_per_s": round(variant.samples / step_s, 2),
        "step_ms": round(1000 * step_s, 1),
        "useful_tflops": round(operations / step_s / 1e12, 3),
        "tflop_a_sample": round(operations / variant.samples / 1e12, 3),
        "first_step_s": round(first_s, 1),
        "graphs": graphs,
        "graphs_made_later": graphs_made() - graphs,
        "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 1) if device.type == "cuda" else None,
    }
    if given.data and given.stage != "texturer":
        row["with_data_path"] = with_data_path(step, step_s, variant.samples, system, given, device)
    return row


def with_data_path(
    step: Callable[..., float],
    on_device_s: float,
    samples: int,
    system: System,
    given: argparse.Namespace,
    device: torch.device,
) -> dict[str, Any]:
    """Seconds of whole steps, from one to the next, while loading processes make the batches."""
    place = DataLocation(str(given.data / "shards-0"), str(given.data / "objects"))
    options = DataOptions((place,), image_px=system.encoders.sizes.image_px)
    source = StructureSource(options, "train", seed=0, stage=given.stage)
    workers = max(1, len(os.sched_getaffinity(0)) - 1)
    loading = LoaderOptions(0, samples, samples * STRUCTURE_TOKENS, workers=workers, pin_memory=device.type == "cuda")
    steps = 2 * given.steps
    with closing(training_batches(source, loading, 0)) as loaded:
        for number in range(WARM_STEPS + 1):
            step(number, next(loaded))
        started, waited = time.perf_counter(), 0.0
        for number in range(steps):
            before = time.perf_counter()
            micro_batches = next(loaded)
            waited += time.perf_counter() - before
            step(number, micro_batches)
        step_s = (time.perf_counter() - started) / steps
    return {
        "step_ms": round(1000 * step_s, 1),
        "loss_percent": round(100 * (step_s / on_device_s - 1), 1),
        "waited_percent": round(100 * waited / steps / step_s, 1),
        "workers": workers,
        "samples_in_dataset": len(source),
    }


def graphs_made() -> int:
    """How many graphs the compiler has made in this process."""
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


def useful_operations(module: TrainingModule, batch: Any, device: torch.device) -> float:
    """Of one forward and backward pass without recomputation, and with attention that the counter knows."""
    with _execution_of_all(module, Execution(attention="bucketed")), FlopCounterMode(display=False) as counter:
        with torch.autocast(device.type, torch.bfloat16):
            loss = module(batch).loss_B.mean()
        loss.backward()
    module.zero_grad(set_to_none=True)
    return float(counter.get_total_flops())


@contextmanager
def _execution_of_all(module: TrainingModule, execution: Execution) -> Iterator[None]:
    networks = [m for network in (module, *module.frozen()) for m in network.modules() if hasattr(m, "execution")]
    before = [m.execution for m in networks]
    for m in networks:
        m.execution = execution
    try:
        yield
    finally:
        for m, own in zip(networks, before, strict=True):
            m.execution = own


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
