"""The spool of objects: finished assets of an unfinished file, one small Parquet file each, put in place in one step.

Renders of one asset may take long, and a shard has several assets; finished ones survive a stop.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scenegen.contract import objects
from scenegen.contract.objects import StepMeta
from scenegen.contract.storage import Root
from scenegen.errors import CannotStoreError
from scenegen.shards.objects import MAY_DIFFER, ObjectShard, uids_of
from scenegen.shards.parquet import RowWriter
from scenegen.shards.tables import has_schema

SPOOL = "_objects_spool"


def spool_asset(root: Root, shard: ObjectShard, meta: StepMeta, uid: str, rows: Sequence[pa.RecordBatch]) -> int:
    """Store the finished rows of one asset; returns their bytes. Raises CannotStoreError."""
    size = 0

    def write(path: Path) -> None:
        nonlocal size
        with RowWriter(path, objects.object_schema(meta.step, meta)) as writer:
            for row in rows:
                writer.write(row)
        size = path.stat().st_size

    try:
        root.write_atomic(_file(shard, meta, uid), write)
    except OSError as error:
        raise CannotStoreError(root.location, error) from error
    return size


def is_spooled(root: Root, shard: ObjectShard, meta: StepMeta, uid: str) -> bool:
    """True if the asset's rows are complete and were made with these settings."""
    try:
        return bool([*spooled_rows(root, shard, meta, uid)])
    except (FileNotFoundError, ValueError, OSError):
        return False


def spooled_rows(root: Root, shard: ObjectShard, meta: StepMeta, uid: str) -> Iterator[pa.RecordBatch]:
    """The rows of one asset, checksums verified.

    Raises FileNotFoundError, ValueError for rows that were made with other settings, OSError for a damaged file.
    """
    name = _file(shard, meta, uid)
    with root.open_input(name) as source:
        file = pq.ParquetFile(source, page_checksum_verification=True)
        if not has_schema(file.schema_arrow, objects.object_schema(meta.step, meta), MAY_DIFFER):
            raise ValueError(f"{name} was made with other settings")
        for number in range(file.num_row_groups):
            yield from file.read_row_group(number).to_batches()


def reopen(root: Root, shard: ObjectShard, meta: StepMeta) -> None:
    """Put the assets of a finished file with the same settings back into the spool, so that none is made twice.

    For a file that has to be made again because an asset failed or is tried again. A damaged file is ignored.
    """
    try:
        with root.open_input(shard.file(meta.step)) as source:
            file = pq.ParquetFile(source, page_checksum_verification=True)
            if not has_schema(file.schema_arrow, objects.object_schema(meta.step, meta), MAY_DIFFER):
                return
            numbers: dict[str, list[int]] = {}
            for number, uid in enumerate(uids_of(file)):
                numbers.setdefault(uid, []).append(number)
            for uid, rows in numbers.items():
                batches = [batch for number in rows for batch in file.read_row_group(number).to_batches()]
                spool_asset(root, shard, meta, uid, batches)
    except (FileNotFoundError, pa.ArrowInvalid, OSError):
        return


def num_spooled(root: Root, table: str, num_shards: int) -> int:
    """The number of assets in the spool of a table, by file names alone."""
    return sum(len(root.list(f"{SPOOL}/{table}-{shard:05d}")) for shard in range(num_shards))


def discard_spool(root: Root, shard: ObjectShard, meta: StepMeta) -> None:
    """Remove a shard's spool of one table."""
    root.remove_folder(_folder(shard, meta))


def _folder(shard: ObjectShard, meta: StepMeta) -> str:
    return f"{SPOOL}/{meta.step}-{shard.shard:05d}"


def _file(shard: ObjectShard, meta: StepMeta, uid: str) -> str:
    position = [asset for asset, _ in shard.assets].index(uid)
    return f"{_folder(shard, meta)}/asset-{position:05d}.parquet"
