"""The rendering metrics that a command asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.errors import UsageError
from pipelines.evaluate.records import TruthSet
from pipelines.evaluate.rendering.features import (
    Features,
    clip_features,
    efficientnet_features,
    inception_features,
)
from pipelines.evaluate.rendering.scores import MetricName, RenderScores
from pipelines.evaluate.truth.shards import ShardTruth

if TYPE_CHECKING:
    from pipelines.evaluate.cli import EvaluateCommand


def open_rendering(command: EvaluateCommand, truth: TruthSet) -> RenderScores:
    """Raises UsageError where weights or clean renders cannot be there, PipelineError where they are not."""
    if not isinstance(truth, ShardTruth):
        raise UsageError("rendering metrics need the clean renders of our objects tables: use --test-set own")
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
    return RenderScores(truth.objects, features, command.device)
