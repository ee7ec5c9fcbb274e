"""From the ledgers of all shards to dataset.json and the data card; the time is linear in the number of shards."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from scenegen.config import DatasetConfig
from scenegen.contract.index import DatasetIndex, list_tables, write_index
from scenegen.contract.schema import FIELDS, version_of
from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError
from scenegen.shards.card import data_card, write_card
from scenegen.shards.ledger import ShardLedger, finished_shards

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
    write_card(root, card)
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
