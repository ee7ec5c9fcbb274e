"""What the data allow: a plain voxel-to-voxel network on the very samples of a structure completer.

It sees the visible voxels and their confidence and says at once which voxels are occupied: no latents, no images, no
noise. A completer that does not reach it has not learned what its samples teach; both are scored on the same held-out
samples, beside the visible voxels themselves.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/measuring_stick.py RUN_DIR DATA [DATA ...] [--objects DIR]
`--steps N --plain-only --name NAME` with --width, --fold or fewer DATA tells what width, resolution and more data give
such a network. Adds to results/measuring_stick.json.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from trained_stage import trained_stage

from pipelines.samplers import SamplerConfig
from pipelines.train.data import loader
from pipelines.train.data.batches import StructureBatch
from pipelines.train.interfaces.loading import LoaderOptions
from pipelines.train.losses.occupancy import cross_entropy_B, dice_B
from pipelines.train.stages.structure_common import columns, voxel_scores

COMMAND = shlex.join(["python", "tests/benchmarks/measuring_stick.py", *sys.argv[1:]])
RESULTS = Path(__file__).parent / "results" / "measuring_stick.json"
WIDTHS = 16, 32, 64, 96  # of the grids, each half as fine as the one before; the voxels are folded into the first
SAMPLERS = {
    f"{steps} steps, guidance {guidance:g}": SamplerConfig(steps=steps, guidance=guidance)
    for steps, guidance in ((1, 0.0), (1, 3.0), (4, 0.0), (12, 0.0))
}


class VoxelNetwork(nn.Module):
    """[B, 2, 64, 64, 64] occupancy and confidence of what is visible -> logits [B, 1, 64, 64, 64].

    width: times WIDTHS. fold: voxels along an edge that the finest grid takes as one.
    """

    def __init__(self, width: int = 1, fold: int = 2) -> None:
        super().__init__()
        widths = [width * each for each in WIDTHS]
        self.enter = nn.Conv3d(2, widths[0], fold, stride=fold)
        self.down = nn.ModuleList(nn.Sequential(_mixed(a), nn.Conv3d(a, b, 2, stride=2)) for a, b in pairwise(widths))
        self.middle = nn.Sequential(_mixed(widths[-1]), _mixed(widths[-1]))
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose3d(b, a, 2, stride=2), _mixed(a)) for a, b in reversed([*pairwise(widths)])
        )
        self.leave = nn.ConvTranspose3d(widths[0], 1, fold, stride=fold)

    def forward(self, seen_B2RRR: Tensor) -> Tensor:
        x, passed = self.enter(seen_B2RRR), []
        for level in self.down:
            x = level[0](x)
            passed.append(x)
            x = level[1](x)
        x = self.middle(x)
        for level, beside in zip(self.up, reversed(passed), strict=True):
            x = level[1](level[0](x) + beside)
        return self.leave(x)


def _mixed(width: int) -> nn.Module:
    return nn.Sequential(nn.Conv3d(width, width, 3, padding=1), nn.GroupNorm(8, width), nn.SiLU())


def seen(batch: StructureBatch) -> Tensor:
    confidence = torch.zeros_like(batch.partial_occupancy()).flatten()
    confidence[batch.voxels_partial_V.long()] = batch.confidence_V
    partial = batch.partial_occupancy()
    return torch.cat([partial, confidence.view_as(partial)], dim=1)


def trained(network: VoxelNetwork, batches: Iterator[Sequence[StructureBatch]], minutes: float, steps: int) -> int:
    """So many steps, or with 0 as many as the time allows, with a rate that falls to nothing. Returns their number."""
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    start, done, share = time.monotonic(), 0, 0.0
    while share < 1:
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * min(1, (done + 1) / 50) * (1 - share)
        for batch in next(batches):
            target = batch.target_occupancy()
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(seen(batch))
            (dice_B(logits, target) + cross_entropy_B(logits, target)).mean().backward()
        optimiser.step()
        optimiser.zero_grad()
        done += 1
        share = done / steps if steps else (time.monotonic() - start) / (60 * minutes)
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--objects", default=None)
    parser.add_argument("--stage", default="coarse", choices=("object", "coarse", "fine"))
    parser.add_argument("--size", default="compact")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--steps", type=int, default=0, help="of the plain network, instead of minutes")
    parser.add_argument("--width", type=int, default=1)
    parser.add_argument("--fold", type=int, default=2)
    parser.add_argument("--samples", type=int, default=96)
    parser.add_argument("--plain-only", action="store_true", help="do not score the completer")
    parser.add_argument("--name", default=None, help="of the result; default: the stage's")
    options = parser.parse_args()
    torch.set_num_threads(1)
    stage = trained_stage(options.stage, options.run_dir, options.data, options.objects, options.size)
    module = stage.module().eval()
    loading = LoaderOptions(seed=0, batch_size=8, micro_batch_tokens=8 * 4096)
    torch.manual_seed(0)
    network, train = VoxelNetwork(options.width, options.fold), stage.source("train")
    steps = trained(network, loader.training_batches(train, loading, 0), options.minutes, options.steps)
    source = stage.source("val")
    chosen = np.unique(np.linspace(0, len(source) - 1, min(options.samples, len(source))).round().astype(int))
    batches = [*loader.fixed_batches(source, chosen.tolist(), loading)]
    scored: dict[str, list[dict[str, float]]] = {}
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for batch in batches:
            target = batch.target_occupancy()
            answers = {"plain network": network(seen(batch)) > 0, "visible voxels": batch.partial_occupancy()}
            answers["decoded truth"] = module._codec.decode(module._codec.encode(target))
            for name, sampler in () if options.plain_only else SAMPLERS.items():
                module._recipe = replace(module._recipe, sampler=sampler)
                answers[f"completer, {name}"] = module.complete(batch)
            for name, answer in answers.items():
                scored.setdefault(name, []).extend(score.named() for score in voxel_scores(answer, target))
    means = {
        name: {key: round(float(np.mean(values)), 4) for key, values in columns(rows).items()}
        for name, rows in scored.items()
    }
    facts = {
        "date": str(date.today()),
        "command": COMMAND,
        "samples": len(chosen),
        "training_samples": len(train),
        "plain_steps": steps,
    }
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(
        json.dumps(stored | {options.name or options.stage: {**facts, "held_out": means}}, indent=1) + "\n"
    )
    print(json.dumps(means, indent=1))


if __name__ == "__main__":
    main()
