"""Objects tables as files: how assets are divided into shards, how files are written, and when they count as made."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scenegen.contract import objects
from scenegen.contract.index import list_tables, shard_name
from scenegen.contract.objects import ObjectGeometry, StepMeta
from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError
from scenegen.shards.tables import Written, columns_of_rows, has_schema, write_table

MAY_DIFFER = ("code_version",)
_THIN_GEOMETRY = ["asset_uid", "asset_sha256", "status"]


@dataclass(frozen=True, slots=True)
class ObjectShard:
    """Shard `shard` of `count`: a fixed range of the assets. assets: (uid, sha256), sorted by uid."""

    shard: int
    count: int
    assets: tuple[tuple[str, str], ...]

    def file(self, table: str) -> str:
        return shard_name(table, self.shard, self.count)


@dataclass(frozen=True, slots=True)
class AssetCut:
    """The division of assets into shards: all assets, sorted by uid, and how many are in a shard."""

    assets: tuple[tuple[str, str], ...]
    per_shard: int

    @classmethod
    def of(cls, sha256_of_uid: Mapping[str, str], per_shard: int) -> "AssetCut":
        return cls(tuple(sorted(sha256_of_uid.items())), per_shard)

    @property
    def digest(self) -> str:
        """sha256 of the list and the shard size: equal digests mean that shard n holds the same assets."""
        return hashlib.sha256(json.dumps([self.per_shard, self.assets]).encode()).hexdigest()

    @property
    def shards(self) -> list[ObjectShard]:
        starts = range(0, len(self.assets), self.per_shard)
        parts = (self.assets[start : start + self.per_shard] for start in starts)
        return [ObjectShard(number, len(starts), part) for number, part in enumerate(parts)]


def tables_of(root: Root) -> dict[str, int]:
    """Every objects table that has a file -> the number of its files."""
    return {table: files for table, files in list_tables(root).items() if table.startswith(objects.OBJECTS)}


def write_rows(root: Root, shard: ObjectShard, meta: StepMeta, rows: Iterator[pa.RecordBatch]) -> Written:
    """Write the file of one table and shard, whole or not at all.

    Raises CannotStoreError, SceneGenError if the rows are not of the shard's assets in their order.
    """
    name = shard.file(meta.step)
    known = {uid: position for position, (uid, _) in enumerate(shard.assets)}

    def check(written: pq.ParquetFile) -> None:
        order = [known.get(uid, -1) for uid in uids_of(written)]
        if -1 in order or order != sorted(order):
            raise SceneGenError(f"{name} does not hold the assets of its shard in their order")

    return write_table(root, name, objects.object_schema(meta.step, meta), rows, check)


def uids_of(file: pq.ParquetFile) -> list[str]:
    """The asset of every row."""
    return [uid for (uid,) in columns_of_rows(file, ["asset_uid"])]


def is_made(root: Root, shard: ObjectShard, meta: StepMeta) -> bool:
    """True if the table's file exists, is readable, was made with these settings, and holds the right assets.

    These are all assets for the objects table, and those that have not failed for the others; latents may lack assets
    with too many voxels. Cheap, for resuming: `scenegen verify` also reads every row.
    """
    try:
        wanted = [uid for uid, _ in shard.assets] if meta.step == objects.OBJECTS else good_assets(root, shard)
        with root.open_input(shard.file(meta.step)) as source:
            file = pq.ParquetFile(source)
            found = [*dict.fromkeys(uids_of(file))]
            as_wanted = set(found) <= set(wanted) if meta.step.startswith(objects.LATENTS_PREFIX) else found == wanted
            return as_wanted and has_schema(file.schema_arrow, objects.object_schema(meta.step, meta), MAY_DIFFER)
    except (pa.ArrowInvalid, OSError):
        return False


def good_assets(root: Root, shard: ObjectShard) -> list[str]:
    """Assets of the shard that have not failed. Raises FileNotFoundError if its objects table is not made."""
    with root.open_input(shard.file(objects.OBJECTS)) as source:
        rows = columns_of_rows(pq.ParquetFile(source), _THIN_GEOMETRY)
    return [uid for uid, _, status in rows if status == "ok"]


def read_geometries(root: Root, shard: ObjectShard) -> Iterator[ObjectGeometry]:
    """Every row of a shard's objects table. Raises FileNotFoundError."""
    with root.open_input(shard.file(objects.OBJECTS)) as source:
        file = pq.ParquetFile(source)
        for number in range(file.num_row_groups):
            yield objects.decode_geometry(file.read_row_group(number).to_pylist()[0])


def failures_of(root: Root, shard: ObjectShard) -> dict[str, str]:
    """Failed asset to its reason; empty if the objects table is not made."""
    try:
        with root.open_input(shard.file(objects.OBJECTS)) as source:
            rows = columns_of_rows(pq.ParquetFile(source), ["asset_uid", "status", "failure"])
    except FileNotFoundError:
        return {}
    return {uid: failure for uid, status, failure in rows if status != "ok"}


def record_failures(root: Root, shard: ObjectShard, failures: Mapping[str, str]) -> None:
    """Record assets as failed: the reason goes into the objects table, and other tables lose their rows."""
    if not failures:
        return

    def failed_or_same(row: ObjectGeometry) -> ObjectGeometry:
        return _failed(row, failures[row.asset_uid]) if row.asset_uid in failures else row

    meta = read_meta(root, shard.file(objects.OBJECTS))
    write_rows(
        root, shard, meta, (objects.encode_geometry(failed_or_same(row)) for row in read_geometries(root, shard))
    )
    for table in tables_of(root):
        if table != objects.OBJECTS and root.exists(shard.file(table)):
            _drop_rows(root, shard, table, failures.keys())


def _drop_rows(root: Root, shard: ObjectShard, table: str, uids: Collection[str]) -> None:
    name = shard.file(table)
    with root.open_input(name) as source:
        file = pq.ParquetFile(source)
        kept = [number for number, uid in enumerate(uids_of(file)) if uid not in uids]
        if len(kept) == file.num_row_groups:
            return
        rows = (batch for number in kept for batch in file.read_row_group(number).to_batches())
        write_rows(root, shard, meta_of(file.schema_arrow), rows)


def failed_geometry(uid: str, sha256: str, reason: str, licence: str = "", split: str = "") -> ObjectGeometry:
    """The row of an asset that cannot be used; licence and split are empty if they are unknown."""
    nothing = np.empty((0, 3))
    return ObjectGeometry(uid, sha256, licence, split, nothing, nothing, nothing.astype(np.uint8), "failed", reason)


def read_meta(root: Root, name: str) -> StepMeta:
    """The metadata of a file. Raises FileNotFoundError, ValueError for a file of another version."""
    with root.open_input(name) as source:
        return meta_of(pq.read_schema(source))


def meta_of(schema: pa.Schema) -> StepMeta:
    """The metadata in a file's schema. Raises ValueError for a file of another version."""
    return StepMeta.from_metadata({key.decode(): value.decode() for key, value in (schema.metadata or {}).items()})


def _failed(row: ObjectGeometry, reason: str) -> ObjectGeometry:
    return failed_geometry(row.asset_uid, row.asset_sha256, reason, row.licence, row.split)
