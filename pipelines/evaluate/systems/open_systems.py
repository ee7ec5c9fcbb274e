"""Opens the systems and baselines that the options name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pipelines.complete.inputs.weights import encoder_files
from pipelines.errors import UsageError
from pipelines.evaluate.files.checked import need
from pipelines.evaluate.records.options import (
    BaselineName,
    BaselineOptions,
    Device,
    Placement,
    SystemOptions,
    TestSetName,
)
from pipelines.evaluate.records.shapes import Shape
from pipelines.evaluate.records.systems import FIXER, GEN3DSR, MIDI, SYSTEMS, SceneInput, System
from pipelines.evaluate.records.truth import TruthSet
from pipelines.evaluate.systems.baselines import Baseline, ResampledTruth, baseline
from pipelines.evaluate.systems.fixer import FixerSystem
from pipelines.evaluate.systems.mean_shape import MeanShape
from pipelines.evaluate.systems.predictions import PredictionFolder
from pipelines.evaluate.systems.retrieval import NearestAsset
from pipelines.evaluate.systems.third_party import Gen3dsrFolder, MidiFolder
from pipelines.evaluate.systems.training_assets import TrainingAssets
from scenegen.contract.objects import ObjectGeometry
from scenegen.contract.records import FIRST_OBJECT_ID

# The lowest id of an object in the masks; ours and ARSG's keep 0, 1, 2 for background, floor and wall.
_FIRST_IDS: dict[TestSetName, int] = {"front3d": 1, "gen3dsr": 1, "scannet": 1}

_FROM_TRAINING_ASSETS: dict[BaselineName, Callable[[Iterable[ObjectGeometry]], Callable[[SceneInput, int], Shape]]] = {
    "nearest_asset": NearestAsset.from_geometries,
    "mean_shape": MeanShape.from_geometries,
}


def open_systems(options: SystemOptions, test_set: TestSetName, seed: int, device: Device) -> dict[str, System]:
    """Option name to system. seed, device: of our system, when it runs now.

    Raises PipelineError for a folder without predictions, UsageError for an unknown or repeated name.
    """
    systems: dict[str, System] = {}
    for given in options.predictions:
        name, separator, folder = given.rpartition("=")
        name = name if separator else FIXER
        if name not in SYSTEMS:
            raise UsageError(f"{name!r} is no system; give [SYSTEM=]DIR with one of {', '.join(SYSTEMS)}")
        if name in systems:
            raise UsageError(f"two folders of predictions for {name}; a system has one row")
        folder_path = need(Path(folder), "the folder of predictions")
        systems[name] = _open_folder(name, folder_path, options.placement, test_set)
    if options.checkpoint:
        if FIXER in systems:
            raise UsageError("--checkpoint and --predictions fixer=DIR are both ours; give one of them")
        systems[FIXER] = _load_fixer(options, seed, device)
    return systems


def open_baselines(
    names: Sequence[BaselineName], truth: TruthSet, assets: TrainingAssets | None
) -> list[Baseline | ResampledTruth]:
    """The baselines in the order of their names. assets: what `open_training_assets` gives."""
    found: list[Baseline | ResampledTruth] = []
    for name in names:
        if name == "nearest_asset" or name == "mean_shape":
            assert assets is not None
            found.append(Baseline(name.replace("_", " "), _FROM_TRAINING_ASSETS[name](assets)))
        else:
            found.append(baseline(name, truth))
    return found


def open_training_assets(options: BaselineOptions) -> TrainingAssets | None:
    """The assets that baselines may know; None if none of the named baselines knows any. Raises PipelineError."""
    if not _FROM_TRAINING_ASSETS.keys() & set(options.names):
        return None
    if options.assets is None:
        raise UsageError(
            "nearest_asset and mean_shape know training assets; name their objects tables with --baseline-assets DIR"
        )
    return TrainingAssets.open(options.assets)


def _load_fixer(options: SystemOptions, seed: int, device: Device) -> FixerSystem:
    from pipelines.complete.pipeline import FixerPipeline  # loads the networks' code, which files do not need

    weights = encoder_files(options.encoder_weights)
    pipeline = FixerPipeline.from_pretrained(options.checkpoint, device, encoder_weights=weights)
    return FixerSystem(f"{SYSTEMS[FIXER]}: {pipeline.networks.title}", pipeline, seed)


def _open_folder(name: str, folder: Path, placement: Placement, test_set: TestSetName) -> System:
    label = SYSTEMS[name]
    if name == MIDI:
        return MidiFolder.open(label, folder, placement, _FIRST_IDS.get(test_set, FIRST_OBJECT_ID))
    if name == GEN3DSR:
        return Gen3dsrFolder.open(label, folder, placement)
    return PredictionFolder.open(label, folder)
