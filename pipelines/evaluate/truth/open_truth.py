"""Opens the test set that the options name."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import UsageError
from pipelines.evaluate.files.checked import UnexpectedLayout
from pipelines.evaluate.records.options import GROUND_TRUTH, Device, TruthOptions
from pipelines.evaluate.records.truth import TruthSet
from pipelines.evaluate.truth.arsg import ArsgTruth
from pipelines.evaluate.truth.front3d import Front3dTruth
from pipelines.evaluate.truth.gen3dsr import Gen3dsrTruth
from pipelines.evaluate.truth.scannet import ScanNetTruth
from pipelines.evaluate.truth.shards import ShardTruth

OFFERED = {
    "arsg": "its authors offer it with their code, D-Robotics-AI-Lab/3D-Fixer on GitHub",
    "front3d": "it is offered with MIDI, VAST-AI-Research/MIDI-3D on GitHub, data on its Hugging Face page",
    "gen3dsr": "it is offered with Gen3DSR, AndreeaDogaru/Gen3DSR on GitHub",
    "scannet": "its authors give it out after their terms of use are signed, ScanNet/ScanNet on GitHub",
}


def open_truth(options: TruthOptions) -> TruthSet:
    """Raises PipelineError if the test set is not there, UsageError if the options do not say where it is."""
    if options.test_set == "own":
        shards = _named(options.shards, "--shards DIR", "own")
        objects = options.objects or shards
        return ShardTruth.open(shards, objects, options.largest, options.min_ratio, options.views)
    try:
        return _open_external(options)
    except UnexpectedLayout as error:
        raise UnexpectedLayout(f"{error}. Nothing is downloaded here: {OFFERED[options.test_set]}") from error


def with_estimated_depth(
    truth: TruthSet, options: TruthOptions, source: str, weights: Path | None, device: Device
) -> TruthSet:
    """The test set, able to give the depth of `source`: exact, stored beside our shards, or estimated now.

    weights: of an estimator that runs now. Raises UsageError and CheckpointError if that estimator cannot run.
    """
    stored = options.test_set == "own" and weights is None
    if source == GROUND_TRUTH or stored:
        return truth
    from pipelines.complete.compute_device import (
        ComputeDevice,
    )  # loads the networks' code, which exact depth does not need
    from pipelines.complete.inputs.estimators import LoadedEstimator
    from pipelines.evaluate.truth.estimated_depth import EstimatedDepthTruth

    return EstimatedDepthTruth(truth, LoadedEstimator.load(source, weights, ComputeDevice.choose(device)))


def _open_external(options: TruthOptions) -> TruthSet:
    root = _named(options.root, "--root DIR", options.test_set)
    if options.test_set == "arsg":
        assets = _named(options.assets, "--assets DIR", "arsg")
        return ArsgTruth.open(root, assets, options.largest, options.min_ratio, options.views)
    if options.test_set == "front3d":
        return Front3dTruth.open(root, options.views)
    if options.test_set == "gen3dsr":
        return Gen3dsrTruth.open(root, options.views)
    return ScanNetTruth.open(root, options.views)


def _named(path: Path | None, option: str, test_set: str) -> Path:
    if path is None:
        where = f" ({OFFERED[test_set]})" if test_set in OFFERED else ""
        raise UsageError(f"the ground truth of --test-set {test_set} is not named: give {option}{where}")
    return path
