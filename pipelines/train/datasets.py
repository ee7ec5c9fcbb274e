"""Which tables a stage reads, whether they are there, and which data they are."""

from __future__ import annotations

from typing import Any

from pipelines.errors import UsageError
from pipelines.names import StageName
from pipelines.train.data.options import DataLocation, DataOptions
from pipelines.train.identity import digest
from scenegen.contract.dataset import Dataset
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.objects import FEATURES_PREFIX, LATENTS_PREFIX, OBJECTS, VIEWS

_SEES_SCENES = ("coarse", "fine", "texturer")
_SEES_NO_IMAGE = ("structure_vae",)
_READS_LATENTS = ("slat_base", "texturer")  # or makes them of the features
_READS_FEATURES = ("slat_vae", "gaussian_decoder", "mesh_decoder")


def describe_datasets(stage: StageName, options: DataOptions) -> list[dict[str, Any]]:
    """What decides the samples of a stage, of each dataset, as JSON: digests and counts, not places.

    Raises UsageError, with the command that makes it, for a table that is missing.
    """
    return [_describe(stage, options, location) for location in options.locations]


def tables_read(stage: StageName, options: DataOptions) -> dict[str, str]:
    """Objects table to the options of `scenegen objects` that make it."""
    tables = {OBJECTS: "--steps geometry"}
    if stage not in _SEES_NO_IMAGE:
        tables[VIEWS] = "--steps views"
    if stage in _READS_LATENTS and options.latents:
        tables[LATENTS_PREFIX + options.latents] = "--steps latents --slat-encoder PATH"
    elif stage in _READS_LATENTS + _READS_FEATURES:
        tables[f"{FEATURES_PREFIX}{options.extractor}"] = f"--steps features --extractor {options.extractor}"
    return tables


def _describe(stage: StageName, options: DataOptions, location: DataLocation) -> dict[str, Any]:
    objects = _open_objects(location)
    described: dict[str, Any] = {}
    for table, how in tables_read(stage, options).items():
        if table not in objects.tables:
            raise UsageError(
                f"{stage} reads the table {table}, which {objects.root.location} does not have (it has "
                f"{', '.join(objects.tables)}). Make it with: scenegen objects --data {location.shards} {how}"
            )
        meta = objects.meta(table)
        described["assets"] = meta.assets_digest[:12]
        described[table] = digest(meta.settings)
    return {**described, **_scenes(location)} if stage in _SEES_SCENES else described


def _scenes(location: DataLocation) -> dict[str, Any]:
    dataset = Dataset.open(location.shards)
    metadata = dataset.metadata()
    return {
        "config": metadata["config_digest"][:12],
        "seed": metadata["dataset_seed"],
        "views": len(dataset),
        "estimators": list(dataset.estimators()),
    }


def _open_objects(location: DataLocation) -> ObjectDataset:
    try:
        return ObjectDataset.open(location.objects_location)
    except (FileNotFoundError, ValueError) as error:
        raise UsageError(f"{error} --data {location.shards}") from error
