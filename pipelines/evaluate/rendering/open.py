"""The rendering metrics that a command asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from pipelines.errors import UsageError
from pipelines.evaluate.records import SystemAnswer, TruthSet, TruthView
from pipelines.evaluate.rendering.colour import ColourScores
from pipelines.evaluate.rendering.features import (
    Features,
    clip_features,
    efficientnet_features,
    inception_features,
)
from pipelines.evaluate.rendering.scores import MetricName, RenderScores
from pipelines.evaluate.report.tables import Row, Table
from pipelines.evaluate.truth.shards import ShardTruth

if TYPE_CHECKING:
    from pipelines.evaluate.cli import EvaluateCommand


class Pictures(Protocol):
    """Draws what one system answers and keeps the scores, while views are judged."""

    def fresh(self) -> Pictures:
        """An empty one for another system."""
        ...

    def watch(self, view: TruthView, answer: SystemAnswer) -> None:
        """Add one judged view."""
        ...

    def rows(self, label: str) -> list[Row]:
        """The system's lines of the table."""
        ...

    def table(self, rows: Sequence[Row]) -> Table:
        """Of every system's rows."""
        ...


def open_rendering(command: EvaluateCommand, truth: TruthSet) -> list[Pictures]:
    """One a table, none without rendering metrics.

    Raises UsageError where weights or clean renders cannot be there, PipelineError where they are not.
    """
    if not set(command.metrics) - {"geometry"}:
        return []
    if not isinstance(truth, ShardTruth):
        raise UsageError("rendering metrics need the clean renders of our objects tables: use --test-set own")
    found: list[Pictures] = []
    if features := _features(command):
        found.append(RenderScores(truth.objects, features, command.device))
    if "colour" in command.metrics:
        found.append(ColourScores(truth.objects, command.device))
    return found


def _features(command: EvaluateCommand) -> dict[MetricName, Features]:
    features: dict[MetricName, Features] = {}
    if "frechet" in command.metrics:
        features["frechet"] = efficientnet_features(command.device)
    if "fid" in command.metrics:
        if command.inception_weights is None:
            raise UsageError(
                "FID needs --inception-weights FILE: pt_inception-2015-12-05-6726825d.pth, released with pytorch-fid "
                "(mseitzer/pytorch-fid); without it, --metrics frechet uses packaged weights under its own name"
            )
        features["fid"] = inception_features(command.inception_weights, command.device)
    if "clip" in command.metrics:
        if command.clip_weights is None:
            raise UsageError(
                "the CLIP score needs --clip-weights DIR: a CLIP model in transformers' layout, such as "
                "openai/clip-vit-base-patch32 from the Hugging Face hub"
            )
        features["clip"] = clip_features(command.clip_weights, command.device)
    return features
