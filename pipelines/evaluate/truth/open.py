"""The ground truth that a command names, and the rules it is judged by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import UsageError
from pipelines.evaluate.depth import GROUND_TRUTH
from pipelines.evaluate.judge import Rules
from pipelines.evaluate.layout import UnexpectedLayout
from pipelines.evaluate.records import TruthSet
from pipelines.evaluate.truth.arsg import ArsgTruth
from pipelines.evaluate.truth.front3d import Front3dTruth
from pipelines.evaluate.truth.gen3dsr import Gen3dsrTruth
from pipelines.evaluate.truth.scannet import ScanNetTruth
from pipelines.evaluate.truth.shards import ShardTruth

if TYPE_CHECKING:
    from pipelines.evaluate.cli import EvaluateCommand

OFFERED = {
    "arsg": "its authors offer it with their code, D-Robotics-AI-Lab/3D-Fixer on GitHub",
    "front3d": "it is offered with MIDI, VAST-AI-Research/MIDI-3D on GitHub, data on its Hugging Face page",
    "gen3dsr": "it is offered with Gen3DSR, AndreeaDogaru/Gen3DSR on GitHub",
    "scannet": "its authors give it out after their terms of use are signed, ScanNet/ScanNet on GitHub",
}
GEN3DSR_POINTS = 1_000_000
GEN3DSR_THRESHOLDS = (0.1, 0.01, 0.001)


def open_truth(command: EvaluateCommand) -> TruthSet:
    """Raises PipelineError if it is not there, UsageError if the command does not say where."""
    if command.test_set == "own":
        shards = _given(command.shards, "--shards DIR", "own")
        objects = command.objects or shards
        return ShardTruth.open(shards, objects, command.largest, command.min_ratio, command.views)
    try:
        return _foreign(command)
    except UnexpectedLayout as error:
        raise UnexpectedLayout(f"{error}. Nothing is downloaded here: {OFFERED[command.test_set]}") from error


def _foreign(command: EvaluateCommand) -> TruthSet:
    root = _given(command.root, "--root DIR", command.test_set)
    if command.test_set == "arsg":
        assets = _given(command.assets, "--assets DIR", "arsg")
        return ArsgTruth.open(root, assets, command.largest, command.min_ratio, command.views)
    if command.test_set == "front3d":
        return Front3dTruth.open(root, command.views)
    if command.test_set == "gen3dsr":
        return Gen3dsrTruth.open(root, command.views)
    return ScanNetTruth.open(root, command.views)


def with_depth(command: EvaluateCommand, truth: TruthSet) -> TruthSet:
    """The test set with the depth that the command asks for: exact, stored beside our shards, or estimated now.

    Raises UsageError and CheckpointError for an estimator that cannot run.
    """
    stored = command.test_set == "own" and command.depth_weights is None
    if command.depth == GROUND_TRUTH or stored:
        return truth
    from pipelines.complete.compute_device import ComputeDevice  # the networks' code, only when it is asked for
    from pipelines.complete.inputs.estimators import LoadedEstimator
    from pipelines.evaluate.truth.estimated import EstimatedNow

    compute = ComputeDevice.choose(command.device)
    return EstimatedNow(truth, LoadedEstimator.load(command.depth, command.depth_weights, compute))


def rules_of(command: EvaluateCommand) -> Rules:
    """How each test set is judged (released scripts; ScanNet's were not released: objects in their box, cut scenes)."""
    if command.test_set == "front3d":
        return Rules(command.object_frame, command.points)
    if command.test_set == "gen3dsr":
        return Rules(None, command.points, GEN3DSR_POINTS, GEN3DSR_THRESHOLDS, clip=True)
    return Rules("canonical", command.points, clip=command.test_set == "scannet")


def _given(path: Path | None, option: str, test_set: str) -> Path:
    if path is None:
        where = f" ({OFFERED[test_set]})" if test_set in OFFERED else ""
        raise UsageError(f"the ground truth of --test-set {test_set} is not named: give {option}{where}")
    return path
