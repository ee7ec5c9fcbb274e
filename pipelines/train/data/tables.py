"""Which tables of the data each stage reads, and whether they exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.errors import UsageError
from pipelines.train.data.options import DataOptions
from pipelines.train.data.readers import Readers
from scenegen.contract.objects import FEATURES_PREFIX, LATENTS_PREFIX, OBJECTS, VIEWS

# Stages by what they read.
_SCENES = ("coarse", "fine", "texturer")
_NO_IMAGES = ("structure_vae",)
_LATENTS = ("slat_base", "texturer")  # without a table of latents they read features and encode them
_FEATURES = ("slat_vae", "gaussian_decoder", "mesh_decoder")
# Keys of `DataOptions.describe` that describe the scenes of a dataset.
_SCENE_KEYS = ("config_digest", "views", "estimators")


def check_tables(stage: str, options: DataOptions) -> None:
    """Raises UsageError if a dataset lacks a table that the stage reads, with the command that makes it."""
    readers = Readers(options.locations)
    for number, location in enumerate(options.locations):
        readers.dataset(number)  # a missing dataset is reported before missing tables
        objects = readers.objects(number)
        for table, how in _tables_read(stage, options.extractor, options.latents).items():
            if table not in objects.tables:
                raise UsageError(
                    f"{stage} reads the table {table}, which {objects.root.location} does not have (it has "
                    f"{', '.join(objects.tables)}). Make it with: scenegen objects --data {location.shards} {how}"
                )


def only_what_is_read(stage: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The part of `DataOptions.describe` that a stage reads.

    A stage resumes although estimators or tables were added that it does not use.
    """
    tables = _tables_read(stage, data.get("extractor"), data.get("latents"))
    unread = () if stage in _SCENES else _SCENE_KEYS
    kept = [{name: fact for name, fact in facts.items() if name not in unread} for facts in data["datasets"]]
    return {
        **data,
        "datasets": [
            {**facts, "tables": {name: made for name, made in facts.get("tables", {}).items() if name in tables}}
            for facts in kept
        ],
    }


def _tables_read(stage: str, extractor: str | None, latents: str | None) -> dict[str, str]:
    """Objects tables that a stage reads, each with the options of `scenegen objects` that make it."""
    tables = {OBJECTS: "--steps geometry"}
    if stage not in _NO_IMAGES:
        tables[VIEWS] = "--steps views"
    if stage in _LATENTS and latents:
        tables[LATENTS_PREFIX + latents] = "--steps latents --slat-encoder PATH"
    elif stage in _LATENTS + _FEATURES:
        tables[f"{FEATURES_PREFIX}{extractor}"] = f"--steps features --extractor {extractor}"
    return tables
