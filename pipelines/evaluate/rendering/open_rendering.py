"""Opens the rendering metrics that the options name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pipelines.errors import UsageError
from pipelines.evaluate.records.options import Device, RenderingOptions
from pipelines.evaluate.records.systems import SystemAnswer
from pipelines.evaluate.records.truth import TruthSet, TruthView
from pipelines.evaluate.rendering.colour import ColourScores
from pipelines.evaluate.rendering.feature_scores import FeatureMetric, FeatureScores
from pipelines.evaluate.rendering.features import (
    Features,
    clip_features,
    efficientnet_features,
    inception_features,
)
from pipelines.evaluate.report.tables import Row, Table
from pipelines.evaluate.truth.shards import ShardTruth


class RenderingScores(Protocol):
    """Renders the answers of one system while they are judged, and collects their scores."""

    def empty_copy(self) -> RenderingScores:
        """One without scores, for another system; what is known of the truth is shared."""
        ...

    def add(self, view: TruthView, answer: SystemAnswer) -> None:
        """Add one judged view."""
        ...

    def rows(self, label: str) -> list[Row]:
        """The rows of the system in the table."""
        ...

    def table(self, rows: Sequence[Row]) -> Table:
        """The table of all systems' rows."""
        ...


def open_rendering(options: RenderingOptions, truth: TruthSet, device: Device) -> list[RenderingScores]:
    """One for each table, empty; none if no rendering metric is named.

    Raises UsageError if weights are not named or the test set has no clean renders, PipelineError if files are missing.
    """
    if not set(options.metrics) - {"geometry"}:
        return []
    if not isinstance(truth, ShardTruth):
        raise UsageError("rendering metrics need the clean renders of our objects tables: use --test-set own")
    found: list[RenderingScores] = []
    if features := _features(options, device):
        found.append(FeatureScores(truth.objects, features, device))
    if "colour" in options.metrics:
        found.append(ColourScores(truth.objects, device))
    return found


def _features(options: RenderingOptions, device: Device) -> dict[FeatureMetric, Features]:
    features: dict[FeatureMetric, Features] = {}
    if "frechet" in options.metrics:
        features["frechet"] = efficientnet_features(device)
    if "fid" in options.metrics:
        if options.inception_weights is None:
            raise UsageError(
                "FID needs --inception-weights FILE: pt_inception-2015-12-05-6726825d.pth, released with pytorch-fid "
                "(mseitzer/pytorch-fid); without it, --metrics frechet uses packaged weights under its own name"
            )
        features["fid"] = inception_features(options.inception_weights, device)
    if "clip" in options.metrics:
        if options.clip_weights is None:
            raise UsageError(
                "the CLIP score needs --clip-weights DIR: a CLIP model in transformers' layout, such as "
                "openai/clip-vit-base-patch32 from the Hugging Face hub"
            )
        features["clip"] = clip_features(options.clip_weights, device)
    return features
