"""What every stage of a small system learns, on one core; and what alpha is for.

Data: scenegen render --preset preview --num-scenes 8 --out DATA
Run:  OMP_NUM_THREADS=1 python tests/benchmarks/learning.py RUN_DIR DATA [DATA ...] [--size tiny] [--objects DIR]
                                                           [--stages structure_vae ...]
Trains the stages by the code of `train-fixer` (those that RUN_DIR has finished are left alone), then takes each stage's
own measures with its initial and its trained weights: on samples that it was trained on, and on held-out assets.
Baselines: the visible voxels taken as the answer (IoU_visible_only); another asset's voxels; white pictures; the mean
latent; for losses of structured latents, the best that takes them for white noise.
alpha: completions of the same objects at several shares of estimated depth, with the network told the share, and with
the network told 0; difference is told minus untold, by object, with its standard error.
curve: what was validated while training, by step: the loss and the stage's own measures.
Writes results/learning_SIZE.json; with --stages, only their parts of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipelines.encoders.registry import load_encoders
from pipelines.names import SIZE_NAMES, STAGE_NAMES, StageName
from pipelines.train.build_stages import stage_context
from pipelines.train.data import loader
from pipelines.train.data.sources.structure import StructureSource
from pipelines.train.interfaces.loading import Batch, LoaderOptions, SampleSource, Split
from pipelines.train.interfaces.stage import Stage, TrainingModule
from pipelines.train.outputs.metrics_log import METRICS_FILE
from pipelines.train.outputs.result import finished_stage
from pipelines.train.run import run
from pipelines.train.settings.config import TrainConfig
from pipelines.train.settings.initial_weights import StageInputs
from pipelines.train.stages.decoder_common import WHITE, TrueViews
from pipelines.train.stages.registry import make_stage
from pipelines.train.stages.slat_common import mean_psnr
from pipelines.train.stages.structure_common import voxel_scores

RESULTS = Path(__file__).parent / "results"
ALPHAS = 0.0, 0.2, 0.6, 1.0
COMPLETERS = "coarse", "fine"
NO_DROP = 1.0  # a uniform draw that no probability of dropping the condition exceeds
Means = dict[str, float]


@dataclass(frozen=True)
class Benchmark:
    """One run of a system. samples: how many of each split are measured, evenly spread over all."""

    config: TrainConfig
    samples: int

    def train(self, name: StageName) -> dict[str, float]:
        """What it took. A stage that was finished before takes nothing."""
        cpu, wall = time.process_time(), time.monotonic()
        run(replace(self.config, stage=name))
        return {"cpu_s": round(time.process_time() - cpu, 1), "wall_s": round(time.monotonic() - wall, 1)}

    def stage(self, name: StageName, trained: bool) -> Stage:
        """On the results of the stages before it, and with its own if it is to be `trained`."""
        weights: dict[str, str | Path] = {}
        facts: dict[str, Mapping[str, Any]] = {}
        for former in STAGE_NAMES[: STAGE_NAMES.index(name) + trained]:
            result = finished_stage(self.config.run_dir / former)
            if result:
                weights.update(result.networks)
                facts[former] = result.facts
        encoders = load_encoders(self.config.encoders, {})
        return make_stage(name, stage_context(name, self.config, encoders, StageInputs(weights, facts)))

    def batches(self, source: SampleSource[Any]) -> list[Batch]:
        """The measured samples of a source, as its epoch 0 has them, with their conditions."""
        chosen = np.unique(np.linspace(0, len(source) - 1, min(self.samples, len(source))).round().astype(int))
        options = LoaderOptions(self.config.seed, batch_size=1, micro_batch_tokens=8 * 4096)
        return [conditioned(batch) for batch in loader.fixed_batches(source, chosen.tolist(), options)]

    def curve(self, name: StageName) -> dict[str, list[float]]:
        """Validated values by name, one a step of "step"."""
        lines = map(json.loads, (self.config.run_dir / name / METRICS_FILE).read_text().splitlines())
        rows = [line for line in lines if line["kind"] == "validation"]
        names = [key for key in rows[-1] if key not in ("kind", "time") and "_t" not in key] if rows else []
        return {key: [round(row[key], 5) for row in rows if key in row] for key in names}

    def measures(self, name: StageName, trained: bool, split: Split) -> Means:
        """The stage's own measures, its validation loss, and baselines."""
        stage = self.stage(name, trained)
        source = stage.source(split)
        if not len(source):
            return {}
        batches, module = self.batches(source), stage.module().eval()
        with torch.no_grad():
            found = {key: mean(values) for key, values in stage.measure(module, batches).items()}
            return {
                "samples": sum(len(batch) for batch in batches),
                **losses(module, batches, normalised=name in ("slat_base", "texturer")),
                **found,
                **baselines(name, batches),
            }


def conditioned(batch: Any) -> Any:
    """The same batch, in which no condition is dropped."""
    return replace(batch, draws=replace(batch.draws, drop_B=torch.full_like(batch.draws.drop_B, NO_DROP)))


def losses(module: TrainingModule, batches: Sequence[Batch], normalised: bool) -> Means:
    """Mean loss and terms; for flows of normalised latents also what is left at the same times if they are noise."""
    columns: dict[str, list[float]] = {}
    for batch in batches:
        found = module(batch)
        terms = {"loss": found.loss_B, **found.terms}
        if found.time_B is not None and normalised:
            t = found.time_B
            terms["loss_of_white"] = 1 / ((1 - t) ** 2 + t**2)
        for name, value_B in terms.items():
            columns.setdefault(name, []).extend(value_B.tolist())
    return {name: mean(values) for name, values in columns.items()}


def baselines(name: str, batches: Sequence[Any]) -> Means:
    """What knows nothing of the sample: the voxels of the next one, or a white picture."""
    if name == "structure_base":
        target = torch.cat([batch.target_occupancy() for batch in batches])
        return {"iou_of_another": mean([score.iou for score in voxel_scores(target.roll(1, 0), target)])}
    if name in ("slat_vae", "gaussian_decoder"):
        seen = [TrueViews.of(batch, WHITE, 64).pictures_BK3HW for batch in batches]
        return {"psnr_of_white": mean([v for truth in seen for v in mean_psnr(torch.ones_like(truth), truth)])}
    return {}


def alpha_matters(bench: Benchmark, name: StageName) -> dict[str, Any]:
    """By alpha: IoU and velocity error with the share told and untold, and their paired differences."""
    stage: Any = bench.stage(name, trained=True)
    module = stage.module().eval()
    return {f"{alpha:g}": told_and_untold(bench, stage, module, alpha) for alpha in ALPHAS}


@torch.no_grad()
def told_and_untold(bench: Benchmark, stage: Any, module: Any, alpha: float) -> dict[str, Any]:
    """Objects without an estimate have true depth at any alpha; they are left out where it is not 0."""
    data = replace(stage.context.data, alpha=alpha)
    clean = stage.recipe.alignment_weight > 0
    source = StructureSource(data, "train", bench.config.seed, stage=stage.name, clean=clean)
    rows: dict[str, list[float]] = {}
    for batch in bench.batches(source):
        known = np.isclose(batch.depth_ratio_B, alpha)
        ways = {"told": batch, "untold": replace(batch, depth_ratio_B=torch.zeros_like(batch.depth_ratio_B))}
        target = batch.target_occupancy()
        found = {
            "iou_visible_only": ious(batch.partial_occupancy(), target),
            **{f"iou_{way}": ious(module.complete(given), target) for way, given in ways.items()},
            **{f"velocity_{way}": errors(module, given) for way, given in ways.items()},
        }
        for key, values in found.items():
            rows.setdefault(key, []).extend(np.array(values)[known])
    pairs = {key: np.subtract(rows[f"{key}_told"], rows[f"{key}_untold"]) for key in ("iou", "velocity")}
    return {
        "samples": len(rows["iou_told"]),
        **{key: mean(values) for key, values in rows.items()},
        **{f"{key}_difference": [mean(d), round(float(d.std(ddof=1) / len(d) ** 0.5), 5)] for key, d in pairs.items()},
    }


def ious(occupancy: Tensor, target: Tensor) -> list[float]:
    return [score.iou for score in voxel_scores(occupancy, target)]


def errors(module: TrainingModule, batch: Batch) -> list[float]:
    """Squared error of the velocity, by sample, at its own fixed time and noise."""
    return module(batch).terms["velocity"].tolist()


def mean(values: Sequence[float] | np.ndarray) -> float:
    return round(float(np.nanmean(values)), 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--objects", help="of all data; default: beside each")
    parser.add_argument("--size", default="tiny", choices=SIZE_NAMES)
    parser.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp32"))
    parser.add_argument("--stages", nargs="+", default=STAGE_NAMES, choices=STAGE_NAMES)
    parser.add_argument("--samples", type=int, default=48)
    parser.add_argument("--held-out", type=float, default=TrainConfig.held_out)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = TrainConfig(
        shards=tuple(options.data),
        objects=(options.objects,) * len(options.data) if options.objects else (),
        size=options.size,
        precision=options.precision,
        encoders="efficientnet_lite0",
        run_dir=options.run_dir,
        held_out=options.held_out,
        workers=0,
        validation_samples=8,
    )
    bench, file = Benchmark(config, options.samples), RESULTS / f"learning_{options.size}.json"
    for name in options.stages:
        taken = bench.train(name)
        measured = {
            "before": bench.measures(name, trained=False, split="train"),
            "after": bench.measures(name, trained=True, split="train"),
            "held_out": bench.measures(name, trained=True, split="val"),
        }
        recipe = bench.stage(name, trained=True).recipe
        result = json.loads(file.read_text()) if file.exists() else {"stages": {}, "alpha": {}}
        known = result["stages"].get(name, {})
        if not taken["cpu_s"] > 30:  # it was finished before
            taken = known.get("training", taken)
        facts = {"steps": recipe.steps, "batch_size": recipe.batch_size, "learning_rate": recipe.learning_rate}
        result["stages"][name] = {**facts, "training": taken, "curve": bench.curve(name), **measured}
        if name in COMPLETERS:
            result["alpha"][name] = alpha_matters(bench, name)
        result.update(
            command="OMP_NUM_THREADS=1 python tests/benchmarks/learning.py " + " ".join(sys.argv[1:]),
            date=str(date.today()),
            machine=f"{os.cpu_count()} cores of {platform.processor() or platform.machine()}, shared with other work",
            torch=torch.__version__,
        )
        file.write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps({name: result["stages"][name], "alpha": result["alpha"].get(name)}, indent=1), flush=True)


if __name__ == "__main__":
    main()
