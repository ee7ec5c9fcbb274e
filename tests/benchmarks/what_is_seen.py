"""What a structure completer makes of each of its inputs: its error when one of them is taken from another sample.

An input that is not looked at changes nothing when it is exchanged. On held-out samples, each at its own fixed time and
noise; differences are exchanged minus own, by sample, with their standard error.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/what_is_seen.py RUN_DIR DATA [DATA ...] [--objects DIR] [--stage coarse]
Writes results/what_is_seen.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from trained_stage import trained_stage

from models.completer import CompleterCondition
from pipelines.samplers import TIME_SCALE
from pipelines.train.data import loader
from pipelines.train.data.batches import StructureBatch
from pipelines.train.interfaces.loading import LoaderOptions
from pipelines.train.losses.flow import flow_point, mean_square_B

COMMAND = " ".join(["python tests/benchmarks/what_is_seen.py", *sys.argv[1:]])
RESULTS = Path(__file__).parent / "results" / "what_is_seen.json"
Change = Callable[[CompleterCondition, Tensor], tuple[CompleterCondition, Tensor]]


def exchanged(*names: str) -> Change:
    """These parts of the condition, each sample's from the next one."""
    return lambda cond, ratio_B: (replace(cond, **{name: getattr(cond, name).roll(1, 0) for name in names}), ratio_B)


CHANGES: dict[str, Change] = {
    "visible voxels": exchanged("partial_latent_BCRRR", "partial_mask_B64RRR"),
    "their latent alone": exchanged("partial_latent_BCRRR"),
    "their confidence alone": exchanged("partial_mask_B64RRR"),
    "crop and mask": exchanged("instance_BMC"),
    "masked crop (base)": exchanged("instance_masked_BMC"),
    "scene": exchanged("scene_BMC"),
    "alpha, told 0": lambda cond, ratio_B: (cond, torch.zeros_like(ratio_B)),
}


@torch.no_grad()
def errors(module: Any, batch: StructureBatch) -> dict[str, list[float]]:
    """Squared error of the velocity by sample, as it is and with each input exchanged."""
    (base,) = module._base
    point = flow_point(module._recipe.path, module._codec.encode(batch.target_occupancy()), batch.noise, batch.time_B)
    known, ratio_B = module.condition(batch), batch.depth_ratio_B
    as_it_is: Change = lambda cond, ratio_B: (cond, ratio_B)  # noqa: E731
    found = {}
    for name, change in {"own": as_it_is, **CHANGES}.items():
        cond, told_B = change(known, ratio_B)
        velocity = module.branch(point.x_t, point.network_time_B, cond, TIME_SCALE * told_B, base)
        found[name] = mean_square_B(velocity, point.velocity).tolist()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--objects", default=None)
    parser.add_argument("--stage", default="coarse", choices=("object", "coarse", "fine"))
    parser.add_argument("--size", default="compact")
    parser.add_argument("--samples", type=int, default=128)
    options = parser.parse_args()
    torch.set_num_threads(1)
    stage = trained_stage(options.stage, options.run_dir, options.data, options.objects, options.size)
    module, source = stage.module().eval(), stage.source("val")
    chosen = np.unique(np.linspace(0, len(source) - 1, min(options.samples, len(source))).round().astype(int))
    loading = LoaderOptions(seed=0, batch_size=8, micro_batch_tokens=8 * 4096)
    columns: dict[str, list[float]] = {}
    for batch in loader.fixed_batches(source, chosen.tolist(), loading):
        for name, values in errors(module, batch).items():
            columns.setdefault(name, []).extend(values)
    own = np.array(columns.pop("own"))
    means = {"own": round(float(own.mean()), 5)}
    differences = {}
    for name, values in columns.items():
        difference = np.array(values) - own
        differences[name] = [round(float(x), 5) for x in (difference.mean(), difference.std() / len(own) ** 0.5)]
    found = {
        "date": str(date.today()),
        "command": COMMAND,
        "samples": len(own),
        **means,
    }
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(stored | {options.stage: found | {"differences": differences}}, indent=1) + "\n")
    print(json.dumps(found | {"differences": differences}, indent=1))


if __name__ == "__main__":
    main()
