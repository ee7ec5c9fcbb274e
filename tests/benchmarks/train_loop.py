"""What the training loop costs beside the networks, and how two CPU ranks share the work.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/train_loop.py [--rounds 12]
Overhead: three ways to train the same network on the same batches take turns of a few steps in one process, so that
neighbours disturb all alike; CPU-seconds, medians over the turns.
  bare      forward, backward, fused torch.optim.AdamW
  plain     the same with torch's gradient clipping and an average of the weights, as one would write it
  loop      Learner.step and the queue of reports: also weights of samples, adaptive clipping, skipping, loss by t
Scaling: the whole `train_stage` in one process and in two (gloo), the same global batch, without validation.
Writes results/train_loop.json.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import torch

from pipelines.train.interfaces.stage import LoopRecipe
from pipelines.train.loop.loop import train_stage
from pipelines.train.optimisation.distributed import process_group
from pipelines.train.optimisation.learner import Learner
from pipelines.train.optimisation.metrics import ReportQueue
from pipelines.train.optimisation.parallel import Parallel
from tests.train.loop.spheres import ALONE, OPTIONS, RealLoader, SphereModule, SphereSource, SphereStage, flow_config
from tests.train.loop.test_ranks import free_port

RESULTS = Path(__file__).parent / "results"
EDGE, WIDTH, BLOCKS, BATCH, TURN = 8, 96, 4, 4, 4
RECIPE = LoopRecipe(steps=40, batch_size=BATCH, learning_rate=1e-4, micro_batch_tokens=BATCH)


def module() -> SphereModule:
    torch.manual_seed(0)
    return SphereModule(flow_config(EDGE, WIDTH, BLOCKS))


def bare(batch, averaged: bool) -> Callable[[], None]:
    """A step as one would write it; `averaged` adds clipping and the average."""
    network = module()
    parameters = list(network.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.0, fused=True)
    averages = [p.detach().clone() for p in parameters]

    def step() -> None:
        network(batch).loss_B.mean().backward()
        if averaged:
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        if averaged:
            with torch.no_grad():
                torch._foreach_lerp_(averages, parameters, 1e-4)

    return step


def looped(batch) -> Callable[[], None]:
    learner = Learner(Parallel(module(), ALONE, "ddp"), RECIPE, ALONE, torch.float32)
    queue, done = ReportQueue(ALONE.device), iter(range(10**9))

    def step() -> None:
        queue.put(learner.step(next(done), [batch]))
        queue.take()

    return step


def overhead(rounds: int) -> dict[str, float]:
    """CPU-milliseconds a step, and what comes on top of the bare step."""
    source = SphereSource(BATCH, edge=EDGE)
    batch = source.collate([source.load(index, 0) for index in range(BATCH)])
    ways = {"bare": bare(batch, averaged=False), "plain": bare(batch, averaged=True), "loop": looped(batch)}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, step in ways.items():
            before = time.process_time()
            for _ in range(TURN):
                step()
            if turn:  # the first warms up
                taken[name].append(1000 * (time.process_time() - before) / TURN)
    found = {f"{name}_ms": round(statistics.median(times), 3) for name, times in taken.items()}
    for name in ("plain", "loop"):
        ratios = [slow / fast for slow, fast in zip(taken[name], taken["bare"], strict=True)]
        found[f"{name}_over_bare"] = round(statistics.median(ratios) - 1, 4)
    return found


class BenchmarkStage(SphereStage):
    def source(self, split):
        return SphereSource(400 if split == "train" else 0, edge=EDGE)

    def module(self):
        if not self.made:
            self.made.append(module())
        return self.made[0]


def train_as_rank(folder: Path) -> None:
    """In a process of its own: the CPU-seconds and the wall time of its training go to stdout."""
    torch.set_num_threads(1)
    with process_group("cpu") as ranks:
        stage, options = BenchmarkStage(recipe=RECIPE), replace(OPTIONS, log_every=10, every=10**9)
        cpu, wall = time.process_time(), time.monotonic()
        train_stage(stage, RealLoader(), options, ranks, folder, threading.Event())
        print(json.dumps([time.process_time() - cpu, time.monotonic() - wall]))


def scaling(world_size: int) -> list[float]:
    """CPU-seconds of all ranks together, and the wall time of the slowest."""
    with tempfile.TemporaryDirectory() as folder:
        shared = {"WORLD_SIZE": str(world_size), "MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port())}
        command = [sys.executable, __file__, "--rank-in", folder]
        processes = [
            subprocess.Popen(
                command, env={**os.environ, **shared, "RANK": str(r), "LOCAL_RANK": str(r)}, stdout=subprocess.PIPE
            )
            for r in range(world_size)
        ]
        taken = [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]
    return [round(sum(cpu for cpu, _ in taken), 2), round(max(wall for _, wall in taken), 2)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--rank-in", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.rank_in:
        train_as_rank(options.rank_in)
        return
    one, two = scaling(1), scaling(2)
    result = {
        "command": "OMP_NUM_THREADS=1 python " + " ".join(["tests/benchmarks/train_loop.py", *sys.argv[1:]]),
        "date": str(date.today()),
        "machine": f"{os.cpu_count()} cores of {platform.processor() or platform.machine()}, shared with other work",
        "torch": torch.__version__,
        "network": {"parameters": sum(p.numel() for p in module().parameters()), "tokens": EDGE**3, "batch": BATCH},
        "overhead": overhead(options.rounds),
        "scaling": {
            "one_rank_cpu_s": one[0],
            "two_ranks_cpu_s": two[0],
            "cpu_ratio": round(two[0] / one[0], 3),
            "one_rank_wall_s": one[1],
            "two_ranks_wall_s": two[1],
        },
    }
    (RESULTS / "train_loop.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
