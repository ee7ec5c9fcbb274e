"""The data card, README.md: for the Hugging Face hub and `datasets` a header, for people what is in the dataset."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from scenegen.config import DatasetConfig
from scenegen.contract.index import DatasetIndex
from scenegen.contract.objects import OBJECTS, object_schema
from scenegen.contract.schema import FIELDS, fields_of
from scenegen.contract.sidecar import PREFIX, sidecar_schema
from scenegen.contract.storage import Root
from scenegen.shards.how_to_read import READING
from scenegen.shards.ledger import ShardLedger

CARD_NAME = "README.md"
ATTRIBUTION_NAME = "ATTRIBUTION.txt"
MARK = "# Written by scenegen and written anew by scenegen merge, unless this line is removed."
_OLD_CARD_NAME = "DATASET_CARD.md"
_LISTED = 20
_IMAGES = {"rgb", "albedo", "thumbnail", "rgba", "crop"}  # columns whose bytes are files that Pillow opens
_DTYPES = {"float": "float32", "double": "float64"}  # Arrow's names to those of `datasets`, where they differ
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_HUB_LICENCES = {
    *("cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-3.0", "cc-by-nc-4.0"),
    *("cc-by-nd-4.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "mit", "apache-2.0"),
}
_ABOUT = {
    "views": "a view: images, camera, what is seen of each object",
    "scenes": "a scene: objects with their poses, licences, the whole description",
    "objects": "an asset: canonical mesh and voxels",
    "objects_views": "a clean view of an asset",
    "objects_features_": "image features of an asset, in its voxels",
    "objects_latents_": "latents of an asset in a pose",
    PREFIX: "a depth estimator's map of a view, aligned to the exact depth",
}


def write_card(root: Root, card: str) -> None:
    """Put the card beside the shards. One that a person has made or taken over stays as it is."""
    if is_ours(root):
        root.write_bytes(CARD_NAME, card.encode())
    if root.exists(_OLD_CARD_NAME):
        root.remove(_OLD_CARD_NAME)


def is_ours(root: Root) -> bool:
    """True if the folder has no card, or one that no person has changed the header of."""
    return not root.exists(CARD_NAME) or MARK.encode() in root.read_bytes(CARD_NAME)


def data_card(
    config: DatasetConfig, index: DatasetIndex, ledgers: Sequence[ShardLedger], attribution: bool = False
) -> str:
    """What is in the dataset: counts, tables, how they are read, licences, what was refused and why.

    attribution: whether ATTRIBUTION.txt lies beside it.
    """
    good = max(index.totals["scenes"] - index.totals["failed_scenes"], 1)
    rejected: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    quarantined: dict[str, str] = {}
    for ledger in ledgers:
        rejected.update(ledger.views_rejected)
        failures.update(reason for _, reason in ledger.failed)
        quarantined.update({uid: reason for _, uid, reason in ledger.quarantined})
    left_out = [f"- `{uid}`: {reason}" for uid, reason in sorted(quarantined.items())]
    lines = [
        *("---", MARK, *_yaml(_header(config, index)), "---", "", "# Data card", ""),
        *_summary(config, index, good),
        *("## Tables", "", "| table | a row is |", "|---|---|"),
        *(f"| `{table}` | {_about(table)} |" for table in _tables(index)),
        *("", "## Reading", "", READING),
        *_table("Licences of the placed objects", "SPDX id", index.licences),
        "Authors and the attribution that they ask for: "
        + (f"`{ATTRIBUTION_NAME}`." if attribution else "`scenegen assets notice --data FOLDER`."),
        "",
        *_table("Views refused before rendering", "reason", dict(rejected.most_common())),
        *_table("Why scenes failed", "reason", dict(failures.most_common(_LISTED))),
        *(["## Assets left out", "", *left_out, ""] if left_out else []),
    ]
    return "\n".join(lines)


def features(schema: pa.Schema) -> list[dict[str, Any]]:
    """The columns of a table as `datasets` states them in the header of a card (since version 4)."""
    return [
        {"name": field.name, **({"dtype": "image"} if field.name in _IMAGES else _feature(field.type))}
        for field in schema
    ]


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        return {"struct": features(pa.schema(list(kind)))}
    if not (pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)):
        return {"dtype": _DTYPES.get(str(kind), str(kind))}
    (inner,) = _feature(kind.value_type).values()
    return {"list": inner, **({"length": kind.list_size} if pa.types.is_fixed_size_list(kind) else {})}


def _tables(index: DatasetIndex) -> list[str]:
    return [*FIELDS, *index.tables]


def _header(config: DatasetConfig, index: DatasetIndex) -> dict[str, Any]:
    views, tables = index.totals["views"], _tables(index)
    licences = {name.lower() if name.lower() in _HUB_LICENCES else "other" for name in index.licences}
    return {
        "pretty_name": f"{index.num_scenes} synthetic scenes with exact ground truth",
        "license": sorted(licences) or ["other"],
        "task_categories": ["depth-estimation", "image-segmentation", "image-to-3d"],
        "tags": ["synthetic", "3d", "6d-pose", "amodal"],
        "size_categories": [next((name for limit, name in _SIZES if views < limit), "10M<n<100M")],
        "configs": [
            {"config_name": table, "data_files": f"{table}-*.parquet", **({"default": True} if n == 0 else {})}
            for n, table in enumerate(tables)
        ],
        "dataset_info": [{"config_name": table, "features": features(_schema(table, config))} for table in tables],
    }


def _yaml(header: Mapping[str, Any]) -> Iterator[str]:
    """A line for each entry, and for each element of a list: JSON is YAML."""
    for key, value in header.items():
        if isinstance(value, list):
            yield f"{key}:"
            yield from (f"- {json.dumps(each)}" for each in value)
        else:
            yield f"{key}: {json.dumps(value)}"


def _schema(table: str, config: DatasetConfig) -> pa.Schema:
    if table in FIELDS:
        return pa.schema(fields_of(table, config.render.transparent))
    return object_schema(table) if table.startswith(OBJECTS) else sidecar_schema()


def _about(table: str) -> str:
    return _ABOUT[max((start for start in _ABOUT if table.startswith(start)), key=len)]


def _summary(config: DatasetConfig, index: DatasetIndex, good: int) -> list[str]:
    totals = index.totals
    return [
        f"{totals['scenes']} scenes, {totals['views']} views of {config.camera.resolution_px} x "
        f"{config.camera.resolution_px} pixels, {totals['objects']} placed objects, {totals['bytes'] / 1e6:.1f} MB in "
        f"{config.num_shards} shards. Drawn by: {config.renderer}. Seed {config.seed}, config {config.digest[:12]}.",
        "",
        f"- objects a scene: {totals['objects'] / good:.1f} of {totals['objects_requested'] / good:.1f} asked for, "
        f"after {totals['placement_attempts'] / good:.0f} tried poses",
        f"- scenes without walls: {totals['outdoor_scenes']}",
        f"- scenes whose assets may all be used commercially: {totals['commercial_scenes']} of {good}",
        f"- failed scenes: {totals['failed_scenes']}",
        "",
    ]


def _table(title: str, key: str, counts: Mapping[str, int]) -> list[str]:
    if not counts:
        return []
    rows = [f"| {name} | {count} |" for name, count in counts.items()]
    return [f"## {title}", "", f"| {key} | count |", "|---|---|", *rows, ""]
