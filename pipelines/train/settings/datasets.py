"""Which data a stage reads, and whether they are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.errors import UsageError
from pipelines.names import STAGE_NAMES
from pipelines.train.data.options import DataOptions
from pipelines.train.data.readers import Readers
from scenegen.contract.objects import FEATURES_PREFIX, LATENTS_PREFIX, OBJECTS, VIEWS

_SEES_SCENES = ("coarse", "fine", "texturer")
_SEES_NO_IMAGE = ("structure_vae",)
_READS_LATENTS = ("slat_base", "texturer")  # or makes them of the features
_READS_FEATURES = ("slat_vae", "gaussian_decoder", "mesh_decoder")
_OF_SCENES = ("config_digest", "views", "estimators")  # what `DataOptions.describe` says of a dataset's scenes


def check_tables(stage: str, options: DataOptions) -> None:
    """Raises UsageError, with the command that makes it, for a table that a stage reads and a dataset lacks."""
    readers = Readers(options.locations)
    for number, location in enumerate(options.locations):
        readers.dataset(number)  # whoever has no scenes yet is told so first
        objects = readers.objects(number)
        for table, how in _tables_read(stage, options.extractor, options.latents).items():
            if table not in objects.tables:
                raise UsageError(
                    f"{stage} reads the table {table}, which {objects.root.location} does not have (it has "
                    f"{', '.join(objects.tables)}). Make it with: scenegen objects --data {location.shards} {how}"
                )


def only_what_is_read(stage: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """`DataOptions.describe` without what the stage does not read, so that more estimators or tables disturb no stage
    that has no use for them. Stages that are not ours keep all."""
    if stage not in STAGE_NAMES or "datasets" not in data:
        return dict(data)
    tables = _tables_read(stage, data.get("extractor"), data.get("latents"))
    unread = () if stage in _SEES_SCENES else _OF_SCENES
    kept = [{name: fact for name, fact in facts.items() if name not in unread} for facts in data["datasets"]]
    return {
        **data,
        "datasets": [
            {**facts, "tables": {name: made for name, made in facts.get("tables", {}).items() if name in tables}}
            for facts in kept
        ],
    }


def _tables_read(stage: str, extractor: str | None, latents: str | None) -> dict[str, str]:
    """Objects table to the options of `scenegen objects` that make it."""
    tables = {OBJECTS: "--steps geometry"}
    if stage not in _SEES_NO_IMAGE:
        tables[VIEWS] = "--steps views"
    if stage in _READS_LATENTS and latents:
        tables[LATENTS_PREFIX + latents] = "--steps latents --slat-encoder PATH"
    elif stage in _READS_LATENTS + _READS_FEATURES:
        tables[f"{FEATURES_PREFIX}{extractor}"] = f"--steps features --extractor {extractor}"
    return tables
