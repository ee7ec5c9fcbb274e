"""What one evaluation does, as plain data: the command builds it, every room reads its own part.

Names and values are those that a person types; defaults are the command's. Nothing here loads a heavy package.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.errors import UsageError

TestSetName = Literal["own", "arsg", "front3d", "gen3dsr", "scannet"]
BaselineName = Literal[
    "visible_points", "visible_surface", "convex_hull", "nearest_asset", "mean_shape", "ground_truth"
]
SweepName = Literal["alpha", "merged", "occlusion", "components"]
MetricName = Literal["geometry", "colour", "frechet", "fid", "clip"]
Device = Literal["cpu", "cuda"]

Alignment = Literal["gt_affine", "gt_scale", "none"]
"""gt_affine: scale and shift fitted to the exact depth (RANSAC), as the official scripts do; it leaks metric scale.
gt_scale: only a scale. none: the estimate as it is, which must be metric; no truth reaches the system."""

Placement = Literal["in_place", "similarity"]
"""How scenes of Gen3DSR and MIDI come into the world: as they are, or moved as a whole by a similarity."""

ObjectFrame = Literal["canonical", "released", "per_axis"]
"""Where objects are compared. canonical: the truth's own pose (own and ARSG test sets). released, per_axis: the two
readings of MIDI's script."""

GROUND_TRUTH = "gt"
"""The depth source that stands for exact depth."""


@dataclass(frozen=True, slots=True)
class DepthChoice:
    """The depth that systems are given.

    source: "gt" or an estimator. ratio: the paper's alpha, the share of estimated depth in the mix with exact depth.
    """

    source: str = GROUND_TRUTH
    alignment: Alignment = "gt_affine"
    ratio: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.ratio <= 1:
            raise UsageError(f"the share of estimated depth is {self.ratio}; it lies between 0 and 1")

    @property
    def depth_ratio(self) -> float:
        """The alpha that the system is conditioned on: 0 for exact depth."""
        return 0.0 if self.source == GROUND_TRUTH else self.ratio

    def __str__(self) -> str:
        return "exact" if self.source == GROUND_TRUTH else f"{self.source}, {self.alignment}, alpha {self.ratio:g}"


@dataclass(frozen=True, slots=True)
class TruthOptions:
    """Which test set, and which of its views and instances are judged.

    shards, objects: our dataset and its objects tables, by default beside the shards. root: folder of a test set that
    is not ours. assets: meshes of the ARSG test set. largest: judge the largest instances of a view only, 0 takes all.
    min_ratio: share of the image that an instance must cover. views: how many, evenly spread; 0 takes all.
    """

    test_set: TestSetName
    largest: int
    min_ratio: float
    views: int
    shards: Path | None
    objects: Path | None
    root: Path | None
    assets: Path | None


@dataclass(frozen=True, slots=True)
class SystemOptions:
    """Which systems of the paper.

    predictions: folders, each [SYSTEM=]DIR. checkpoint: of our system, to run now; "" for none. encoder_weights: each
    NAME=FILE, for that checkpoint. placement: of Gen3DSR's and MIDI's scenes.
    """

    predictions: tuple[str, ...]
    checkpoint: str
    encoder_weights: tuple[str, ...]
    placement: Placement


@dataclass(frozen=True, slots=True)
class BaselineOptions:
    """Which baselines. assets: objects tables whose training assets some of them know."""

    names: tuple[BaselineName, ...]
    assets: Path | None


@dataclass(frozen=True, slots=True)
class RenderingOptions:
    """Which metrics; all but "geometry" compare renders. inception_weights, clip_weights: for FID and CLIP."""

    metrics: tuple[MetricName, ...]
    inception_weights: Path | None
    clip_weights: Path | None


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """One evaluation.

    depth_weights: of an estimator that runs now. points: sampled from each object. object_frame: for the front3d test
    set. seed: of sampled points, drawn pairs, our system's noise and confidence intervals. threads: of the search for
    nearest neighbours on the CPU, -1 takes all. save_predictions: keep the answers of the checkpoint in this folder.
    out: folder of the report.
    """

    truth: TruthOptions
    out: Path
    systems: SystemOptions
    baselines: BaselineOptions
    depth: DepthChoice
    depth_weights: Path | None
    sweeps: tuple[SweepName, ...]
    rendering: RenderingOptions
    points: int
    object_frame: ObjectFrame
    seed: int
    device: Device
    threads: int
    save_predictions: Path | None
