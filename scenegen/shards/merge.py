"""From the ledgers of all shards to dataset.json and a data card; the time is linear in the number of shards."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from scenegen.config import DatasetConfig
from scenegen.contract.index import DatasetIndex, list_tables, write_index
from scenegen.contract.schema import FIELDS, version_of
from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError
from scenegen.shards.ledger import ShardLedger, finished_shards

CARD_NAME = "DATASET_CARD.md"
_LISTED = 20


def merge_if_complete(root: Root, config: DatasetConfig) -> dict[int, ShardLedger]:
    """Write dataset.json and the data card if every shard is finished; the ledgers of those that are, by shard."""
    finished = finished_shards(root, config, range(config.num_shards))
    if len(finished) == config.num_shards:
        merge(root, config, [*finished.values()])
    return finished


def merge(root: Root, config: DatasetConfig, ledgers: Sequence[ShardLedger]) -> DatasetIndex:
    """Write dataset.json and the data card from the ledgers of every shard. Doing it twice changes nothing.

    Raises SceneGenError naming the shards that are missing.
    """
    missing = sorted(set(range(config.num_shards)) - {ledger.shard for ledger in ledgers})
    if missing:
        listed = ", ".join(map(str, missing[:_LISTED])) + (", ..." if len(missing) > _LISTED else "")
        raise SceneGenError(
            f"{len(missing)} of {config.num_shards} shards are not finished ({listed}); "
            f"run again: scenegen render --out {root.location} --resume-config"
        )
    beside = tuple(table for table in list_tables(root) if table not in FIELDS)
    index = replace(summarise(config, ledgers), tables=beside)
    card = data_card(config, index, ledgers)
    write_index(root, index)
    root.write_bytes(CARD_NAME, card.encode())
    return index


def remove_leftovers(root: Root) -> list[str]:
    """Remove temporary files that a killed process left beside the shards; returns their names.

    Only while nothing renders into the folder: the temporary file of a living process looks the same.
    """
    leftovers = [name for name in root.list() if name.startswith(".") and name.endswith(".tmp")]
    for name in leftovers:
        root.remove(name)
    return leftovers


def summarise(config: DatasetConfig, ledgers: Sequence[ShardLedger]) -> DatasetIndex:
    """The index of these shards."""
    ordered = sorted(ledgers, key=lambda ledger: ledger.shard)
    totals: Counter[str] = Counter()
    licences: Counter[str] = Counter()
    for ledger in ordered:
        totals.update(ledger.counts)
        totals["bytes"] += ledger.views.bytes + ledger.scenes_file.bytes
        licences.update(ledger.licences)
    return DatasetIndex(
        schema_version=version_of(config.render.transparent),
        config_digest=config.digest,
        dataset_seed=config.seed,
        num_scenes=config.num_scenes,
        num_shards=config.num_shards,
        shards=tuple(ledger.entry for ledger in ordered),
        totals=dict(sorted(totals.items())),
        licences=dict(sorted(licences.items())),
    )


def data_card(config: DatasetConfig, index: DatasetIndex, ledgers: Sequence[ShardLedger]) -> str:
    """What is in the dataset, for people: counts, licences, what was refused and why."""
    totals = index.totals
    good = max(totals["scenes"] - totals["failed_scenes"], 1)
    rejected: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    quarantined: dict[str, str] = {}
    for ledger in ledgers:
        rejected.update(ledger.views_rejected)
        failures.update(reason for _, reason in ledger.failed)
        quarantined.update({uid: reason for _, uid, reason in ledger.quarantined})
    lines = [
        "# Data card",
        "",
        f"{totals['scenes']} scenes, {totals['views']} views of {config.camera.resolution_px} x "
        f"{config.camera.resolution_px} pixels, {totals['objects']} placed objects, {totals['bytes'] / 1e6:.1f} MB in "
        f"{config.num_shards} shards. Drawn by: {config.renderer}. Seed {config.seed}, config {config.digest[:12]}.",
        "",
        f"- objects a scene: {totals['objects'] / good:.1f} of {totals['objects_requested'] / good:.1f} asked for, "
        f"after {totals['placement_attempts'] / good:.0f} tried poses",
        f"- scenes without walls: {totals['outdoor_scenes']}",
        f"- scenes whose assets may all be used commercially: {totals['commercial_scenes']} of {good}",
        f"- failed scenes: {totals['failed_scenes']}",
        *([f"- beside the views: {', '.join(index.tables)}"] if index.tables else ()),
        "",
        *_table("Licences of the placed objects", "SPDX id", index.licences),
        *_table("Views refused before rendering", "reason", dict(rejected.most_common())),
        *_table("Why scenes failed", "reason", dict(failures.most_common(_LISTED))),
    ]
    if quarantined:
        lines += [
            "## Assets left out",
            "",
            *(f"- `{uid}`: {reason}" for uid, reason in sorted(quarantined.items())),
            "",
        ]
    lines += ["Asset authors and attribution texts: `scenegen assets notice`.", ""]
    return "\n".join(lines)


def _table(title: str, key: str, counts: dict[str, int]) -> list[str]:
    if not counts:
        return []
    rows = [f"| {name} | {count} |" for name, count in counts.items()]
    return [f"## {title}", "", f"| {key} | count |", "|---|---|", *rows, ""]
