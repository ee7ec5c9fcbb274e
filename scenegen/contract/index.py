"""dataset.json, which lists the shards of a dataset and their totals, and the names of shard files."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from scenegen.contract.storage import Root

INDEX_NAME = "dataset.json"
_SHARD_NAME = re.compile(r"(?P<table>[a-z0-9_]+)-(?P<shard>\d{5,})-of-(?P<count>\d{5,})\.parquet")


def shard_name(table: str, shard: int, num_shards: int) -> str:
    """The file of one shard of one table, e.g. views-00017-of-01100.parquet."""
    return f"{table}-{shard:05d}-of-{num_shards:05d}.parquet"


def parse_shard_name(name: str) -> tuple[str, int, int] | None:
    """(table, shard, num_shards) of a shard file's name, or None for any other name."""
    match = _SHARD_NAME.fullmatch(name)
    return (match["table"], int(match["shard"]), int(match["count"])) if match else None


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One file: its name below the dataset's root, rows, bytes, and sha256 of the bytes."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """A shard: the same range of scenes in each table."""

    shard: int
    views: ShardFile
    scenes: ShardFile


@dataclass(frozen=True, slots=True)
class DatasetIndex:
    """The content of dataset.json.

    totals: counts such as scenes, failed_scenes, views, objects, bytes. licences: SPDX id to number of placed objects.
    tables: the tables beside views and scenes when it was written: depth_moge2, objects, objects_views, ...
    """

    schema_version: int
    config_digest: str
    dataset_seed: int
    num_scenes: int
    num_shards: int
    shards: tuple[ShardEntry, ...]
    totals: dict[str, int] = field(default_factory=dict)
    licences: dict[str, int] = field(default_factory=dict)
    tables: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        return len(self.shards) == self.num_shards

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "DatasetIndex":
        raw = json.loads(text)
        shards = (ShardEntry(s["shard"], ShardFile(**s["views"]), ShardFile(**s["scenes"])) for s in raw["shards"])
        return cls(**{**raw, "shards": tuple(shards), "tables": tuple(raw.get("tables", ()))})


def read_index(root: Root) -> DatasetIndex | None:
    """The index of a merged dataset; None when there is no dataset.json yet."""
    try:
        return DatasetIndex.from_json(root.read_bytes(INDEX_NAME).decode())
    except FileNotFoundError:
        return None


def write_index(root: Root, index: DatasetIndex) -> None:
    root.write_bytes(INDEX_NAME, index.to_json().encode())


def list_shards(root: Root, table: str) -> list[tuple[int, str]]:
    """(shard, file name) of the shards of a table that are there, sorted.

    Raises ValueError if files of two shard counts lie side by side: they cannot belong to one dataset.
    """
    found = _parsed(root.list(), table)
    counts = {count for _, count, _ in found}
    if len(counts) > 1:
        raise ValueError(
            f"{root.location} holds {table} shards of datasets with {sorted(counts)} shards; keep one of them"
        )
    return sorted((shard, name) for shard, _, name in found)


def list_tables(root: Root) -> dict[str, int]:
    """Every table that has a shard file, sorted, with the number of its files."""
    found = Counter(parsed[0] for parsed in map(parse_shard_name, root.list()) if parsed)
    return dict(sorted(found.items()))


def _parsed(names: Iterable[str], table: str) -> list[tuple[int, int, str]]:
    parsed = ((parse_shard_name(name), name) for name in names)
    return [(p[1], p[2], name) for p, name in parsed if p and p[0] == table]
