"""The systems and baselines that a command names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.complete.inputs.weights import encoder_files
from pipelines.errors import UsageError
from pipelines.evaluate.layout import need
from pipelines.evaluate.predictions import PredictionFolder
from pipelines.evaluate.records import SceneInput, Shape, System, TruthSet
from pipelines.evaluate.report import paper
from pipelines.evaluate.systems.baselines import Baseline, TruthAgain, baseline
from pipelines.evaluate.systems.completer import Completer
from pipelines.evaluate.systems.foreign import Gen3dsrFolder, MidiFolder
from pipelines.evaluate.systems.mean_shape import MeanShape
from pipelines.evaluate.systems.retrieval import NearestAsset
from pipelines.evaluate.systems.training_assets import TrainingAssets
from scenegen.contract.objects import ObjectGeometry
from scenegen.contract.records import FIRST_OBJECT_ID

if TYPE_CHECKING:
    from pipelines.evaluate.cli import EvaluateCommand

_FIRST_IDS = {"front3d": 1, "gen3dsr": 1, "scannet": 1}  # ours and ARSG keep 0, 1, 2 for background, floor, wall

_REMEMBERING: dict[str, Callable[[Iterable[ObjectGeometry]], Callable[[SceneInput, int], Shape]]] = {
    "nearest_asset": NearestAsset.remember,
    "mean_shape": MeanShape.remember,
}


def open_systems(command: EvaluateCommand) -> dict[str, System]:
    """Option name to system. Raises PipelineError for a folder without predictions, UsageError for a bad name."""
    systems: dict[str, System] = {}
    for given in command.predictions:
        name, found, folder = given.rpartition("=")
        name = name if found else paper.FIXER
        if name not in paper.SYSTEMS:
            raise UsageError(f"{name!r} is no system; give [SYSTEM=]DIR with one of {', '.join(paper.SYSTEMS)}")
        if name in systems:
            raise UsageError(f"two folders of predictions for {name}; a system has one row")
        systems[name] = _open(name, need(Path(folder), "the folder of predictions"), command)
    if command.checkpoint:
        if paper.FIXER in systems:
            raise UsageError("--checkpoint and --predictions fixer=DIR are both ours; give one of them")
        systems[paper.FIXER] = _completer(command)
    return systems


def open_baselines(
    command: EvaluateCommand, truth: TruthSet, assets: TrainingAssets | None
) -> list[Baseline | TruthAgain]:
    """In the order of the command. assets: what `training_assets` gives."""
    found: list[Baseline | TruthAgain] = []
    for name in command.baseline:
        if name == "nearest_asset" or name == "mean_shape":
            assert assets is not None
            found.append(Baseline(name.replace("_", " "), _REMEMBERING[name](assets)))
        else:
            found.append(baseline(name, truth))
    return found


def training_assets(command: EvaluateCommand) -> TrainingAssets | None:
    """What the baselines may know; None if none of those that are asked for knows any. Raises PipelineError."""
    if not _REMEMBERING.keys() & set(command.baseline):
        return None
    location = command.baseline_assets or command.objects or command.shards
    if location is None:
        raise UsageError(
            "nearest_asset and mean_shape know training assets; name their objects tables with --baseline-assets DIR"
        )
    return TrainingAssets.open(location)


def _completer(command: EvaluateCommand) -> System:
    from pipelines.complete.pipeline import FixerPipeline  # the networks' code, only when they are asked

    weights = encoder_files(command.encoder_weights)
    pipeline = FixerPipeline.from_pretrained(command.checkpoint, command.device, encoder_weights=weights)
    return Completer(f"{paper.SYSTEMS[paper.FIXER]}: {pipeline.networks.title}", pipeline, command.seed)


def _open(name: str, folder: Path, command: EvaluateCommand) -> System:
    label = paper.SYSTEMS[name]
    if name == paper.MIDI:
        first_id = _FIRST_IDS.get(command.test_set, FIRST_OBJECT_ID)
        return MidiFolder.open(label, folder, command.placement, first_id)
    if name == paper.GEN3DSR:
        return Gen3dsrFolder.open(label, folder, command.placement)
    return PredictionFolder.open(label, folder)
