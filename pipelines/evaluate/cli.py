"""The `fixer-evaluate` command: options, their checks, exit codes. run.py does the work; it is imported late."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro

from pipelines.console import run_command
from pipelines.errors import EXIT_DONE, UsageError
from pipelines.evaluate.records.options import (
    Alignment,
    BaselineName,
    BaselineOptions,
    DepthChoice,
    Device,
    EvaluationOptions,
    MetricName,
    RenderingOptions,
    SweepName,
    SystemOptions,
    TestSetName,
    TruthOptions,
)
from scenegen.contract.command.command_line import CommandLine
from scenegen.contract.command.help_page import MAIN, HelpGroups


@dataclass(frozen=True)
class EvaluateCommand:
    """Evaluate completed scenes against the ground truth.

    Writes tables as Markdown and JSON, and plots as PNG. For instance:

        fixer-evaluate --shards data/ --predictions runs/x --baseline convex_hull
    """

    predictions: tuple[str, ...] = ()
    """Folders of predictions, each as [SYSTEM=]DIR; SYSTEM is fixer (default), official, gen3dsr or midi."""
    checkpoint: str = ""
    """Complete the scenes now, with this checkpoint (folder or hub id), instead of reading predictions."""
    encoder_weights: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=FILE ...")] = ()
    """Weights of encoders that are not in --checkpoint: dinov2=FILE moge2=FILE."""
    save_predictions: Path | None = None
    """A folder that keeps what --checkpoint makes, to be judged again with --predictions fixer=DIR."""
    baseline: tuple[BaselineName, ...] = ()
    """Baselines, which need no network. nearest_asset and mean_shape know the training assets; ground_truth is the
    truth sampled a second time, the ceiling."""
    baseline_assets: Path | None = None
    """Objects tables whose assets of the split train are known to nearest_asset and mean_shape. Default: the tables of
    the ground truth."""
    test_set: TestSetName = "own"
    """The ground truth: own (a dataset of scenegen, --shards), or a public test set in its own layout (--root)."""
    shards: Path | None = None
    """A dataset of scenegen, for --test-set own."""
    objects: Path | None = None
    """Its objects tables. Default: beside the shards."""
    root: Path | None = None
    """Folder of a public test set."""
    assets: Path | None = None
    """Asset meshes of --test-set arsg: ASSETS/<sha256>/mesh.ply."""
    sweep: tuple[SweepName, ...] = ()
    """Robustness to distorted depth (alpha) or merged masks; scores by occlusion or by number of mask components."""
    metrics: tuple[MetricName, ...] = ("geometry",)
    """Beside geometry, on renders from visible and unseen views: colour (PSNR), frechet, fid and clip. fid and clip
    need their weights."""
    inception_weights: Path | None = None
    """Inception weights of the usual FID (pt_inception-2015-12-05-6726825d.pth), for --metrics fid."""
    clip_weights: Path | None = None
    """Folder of a CLIP model in transformers' layout, for --metrics clip."""
    depth: str = "gt"
    """Depth for systems that run now: gt (exact), or an estimator, whose maps are sidecars of --shards. On other
    test sets, and with --depth-weights, it runs now (moge2, depth_pro, vggt)."""
    depth_weights: Path | None = None
    """Weights of the depth estimator, a file or folder. Default: the Hugging Face cache."""
    alignment: Alignment = "gt_affine"
    """How estimated depth is brought to metres: fitted to the exact depth (official), its scale only, or not at all."""
    alpha: float = 1.0
    """Share of estimated depth in the mix with exact depth."""
    largest: int = 5
    """Judge only this many of the largest instances of a view (official: 5); 0 judges all."""
    min_ratio: float = 0.005
    """Share of the image that an instance must cover to be judged."""
    views: int = 0
    """Judge this many views, spread over the dataset; 0 judges all."""
    points: int = 20_480
    """Points that are sampled from each object."""
    object_frame: Literal["per_axis", "released"] = "per_axis"
    """Frame of the object metric of --test-set front3d: normalised per axis, or as released, to compare with published
    tables."""
    placement: Literal["in_place", "similarity"] = "similarity"
    """Outputs of gen3dsr and midi: as they are, or moved as a whole by a similarity onto the visible points."""
    seed: int = 0
    """The seed of sampled points, of drawn pairs and of confidence intervals."""
    device: Device = "cpu"
    """Where nearest neighbours are searched and images are rendered."""
    threads: int = 1
    """CPU threads of the search; -1 takes all."""
    out: Path = Path("evaluation")
    """A folder for report.md, report.json and plots."""

    HELP_GROUPS: ClassVar[HelpGroups] = {
        MAIN: "shards predictions checkpoint baseline out",
        "what is judged": "test-set root objects assets views largest min-ratio",
        "metrics": "metrics sweep points object-frame inception-weights clip-weights seed",
        "depth that systems are given": "depth depth-weights alignment alpha",
        "systems": "encoder-weights save-predictions baseline-assets placement",
        "how it is computed": "device threads",
    }

    def run(self) -> int:
        """Judge and write. Raises PipelineError for what a person can correct."""
        self._check()
        from pipelines.evaluate.run import run  # loads torch and others, which --help must not

        sys.stdout.write(run(self.options(), asdict(self)) + "\n")
        return EXIT_DONE

    def options(self) -> EvaluationOptions:
        """The same choices, room by room."""
        return EvaluationOptions(
            truth=TruthOptions(
                test_set=self.test_set,
                largest=self.largest,
                min_ratio=self.min_ratio,
                views=self.views,
                shards=self.shards,
                objects=self.objects,
                root=self.root,
                assets=self.assets,
            ),
            systems=SystemOptions(self.predictions, self.checkpoint, self.encoder_weights, self.placement),
            baselines=BaselineOptions(self.baseline, self.baseline_assets or self.objects or self.shards),
            depth=DepthChoice(self.depth, self.alignment, self.alpha),
            depth_weights=self.depth_weights,
            sweeps=self.sweep,
            rendering=RenderingOptions(self.metrics, self.inception_weights, self.clip_weights),
            points=self.points,
            object_frame=self.object_frame,
            seed=self.seed,
            device=self.device,
            threads=self.threads,
            save_predictions=self.save_predictions,
            out=self.out,
        )

    def _check(self) -> None:
        """Raises UsageError for numbers that cannot be meant."""
        wrong = {
            "--points must be at least 16": self.points < 16,
            "--views must be 0 (all) or more": self.views < 0,
            "--largest must be 0 (all) or more": self.largest < 0,
            "--min-ratio is a share from 0 to 1": not 0 <= self.min_ratio <= 1,
            "--alpha is a share from 0 to 1": not 0 <= self.alpha <= 1,
            "--threads must be at least 1, or -1 for all": self.threads < 1 and self.threads != -1,
            "--seed must be 0 or more": self.seed < 0,
            "--save-predictions keeps what --checkpoint makes; give one": self.save_predictions and not self.checkpoint,
            f"--out {self.out} is a file; name a folder": self.out.is_file(),
        }
        for what, is_so in wrong.items():
            if is_so:
                raise UsageError(what)


COMMAND_LINE = CommandLine("fixer-evaluate", EvaluateCommand)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    command = COMMAND_LINE.parse(given)
    return run_command(COMMAND_LINE.program, command.run, "interrupted; nothing was written")


def script() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    script()
