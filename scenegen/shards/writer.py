"""From the spooled scenes of a shard to its files: assembled in order, read back, verified, then put in place."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scenegen.config import DatasetConfig
from scenegen.contract.index import ShardFile, shard_name
from scenegen.contract.records import Scene
from scenegen.contract.schema import ShardMeta, encode_scene, table_schema
from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError
from scenegen.shards.ledger import ShardLedger, finished_shard, ledger_file, shard_statistics, write_ledger
from scenegen.shards.parquet import RowWriter
from scenegen.shards.spool import (
    DamagedSceneError,
    SceneRecord,
    discard_scenes,
    discard_shard,
    read_record,
    read_scene,
    write_scene,
)

_HASH_CHUNK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class MissingScenes:
    """The shard cannot be assembled yet: these scenes are not in the spool, or are there but damaged."""

    shard: int
    scenes: tuple[int, ...]


def assemble_shard(root: Root, config: DatasetConfig, meta: ShardMeta, shard: int) -> ShardLedger | MissingScenes:
    """Make the files of a shard from its spool, then drop the spool.

    The bytes depend on the spooled rows alone, so that two workers that do this at once leave the same files. A damaged
    scene is dropped from the spool and reported as missing. Raises OSError when the shard cannot be stored.
    """
    done = finished_shard(root, config, shard)
    if done:
        discard_shard(root, shard)
        return done
    scenes: list[Scene] = []
    records: list[SceneRecord] = []
    missing: list[int] = []
    for scene_index in config.shard_scenes(shard):
        try:
            scene, record = read_record(root, meta, shard, scene_index)
            scenes.append(scene)
            records.append(record)
        except FileNotFoundError:
            missing.append(scene_index)
        except DamagedSceneError:
            discard_scenes(root, shard, [scene_index])
            missing.append(scene_index)
    if missing:
        # Another worker may have finished the shard and removed its spool between our looks.
        return finished_shard(root, config, shard) or MissingScenes(shard, tuple(missing))
    ledger = _store(root, config, meta, shard, scenes, records)
    if isinstance(ledger, ShardLedger):
        write_ledger(root, ledger)
        discard_shard(root, shard)
    return ledger


def reopen_failed(root: Root, config: DatasetConfig, meta: ShardMeta, ledger: ShardLedger) -> None:
    """Put the good scenes of a finished shard back into the spool and forget its ledger: the failed ones are missing.

    Stopped in the middle, it can be done again.
    """
    failed = {scene for scene, _ in ledger.failed}
    good = max(ledger.scenes[1] - ledger.scenes[0] - len(failed), 1)
    with root.open_input(ledger.scenes_file.name) as scenes, root.open_input(ledger.views.name) as views:
        rows = pq.ParquetFile(views, page_checksum_verification=True)
        position = 0
        for scene in _read_scenes(scenes):
            if scene.scene_index in failed:
                continue
            numbers = range(position, position + config.camera.num_views)
            batches = [batch for number in numbers for batch in rows.read_row_group(number).to_batches()]
            record = SceneRecord(
                ledger.seconds / good,
                ledger.cpu_seconds / good,
                tuple((uid, reason) for index, uid, reason in ledger.quarantined if index == scene.scene_index),
                ", ".join(ledger.hosts),
            )
            write_scene(root, meta, ledger.shard, scene, batches, record)
            position = numbers.stop
    root.remove(ledger_file(ledger.shard))


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _store(
    root: Root, config: DatasetConfig, meta: ShardMeta, shard: int, scenes: list[Scene], records: list[SceneRecord]
) -> ShardLedger | MissingScenes:
    damaged: list[int] = []
    digests: list[bytes] = []

    def rows() -> Iterator[pa.RecordBatch]:
        for scene in scenes:
            try:
                views = read_scene(root, meta, shard, scene.scene_index).views
            except (FileNotFoundError, DamagedSceneError):
                damaged.append(scene.scene_index)
                continue
            for view in views:
                digests.append(row_digest(view))
                yield view

    try:
        views_file = _write_table(root, config, meta, shard, "views", rows(), digests, damaged)
    except _DamagedSpoolError:
        discard_scenes(root, shard, damaged)
        return finished_shard(root, config, shard) or MissingScenes(shard, tuple(damaged))
    scene_rows = [encode_scene(scene) for scene in scenes]
    scenes_file = _write_table(
        root, config, meta, shard, "scenes", iter(scene_rows), [*map(row_digest, scene_rows)], []
    )
    reach = config.shard_scenes(shard)
    statistics = shard_statistics(scenes, records, views_file.rows)
    return ShardLedger(shard, (reach.start, reach.stop), config.digest, views_file, scenes_file, **statistics)


class _DamagedSpoolError(Exception):
    """Some spooled rows could not be read; nothing was put in place."""


def _write_table(
    root: Root,
    config: DatasetConfig,
    meta: ShardMeta,
    shard: int,
    table: str,
    rows: Iterator[pa.RecordBatch],
    digests: list[bytes],
    damaged: list[int],
) -> ShardFile:
    """Write one file of the shard. `digests` are those of `rows`, complete once `rows` is used up."""
    name = shard_name(table, shard, config.num_shards)
    made: list[ShardFile] = []

    def write(path: Path) -> None:
        with RowWriter(path, table_schema(table, meta)) as writer:
            for row in rows:
                writer.write(row)
        if damaged:
            raise _DamagedSpoolError
        _verify_file(path, digests)
        made.append(ShardFile(name, len(digests), path.stat().st_size, file_sha256(path)))

    root.write_atomic(name, write)
    return made[0]


def row_digest(row: pa.RecordBatch) -> bytes:
    """A digest of the values of one row, whatever buffers hold them."""
    digest = hashlib.blake2b(digest_size=16)
    for column in row.columns:
        value = column[0].as_buffer() if pa.types.is_large_binary(column.type) and column[0].is_valid else None
        digest.update(repr(column[0].as_py()).encode() if value is None else value)
        digest.update(b"|")
    return digest.digest()


def _verify_file(path: Path, digests: list[bytes]) -> None:
    """Read a new file back: every row must be what was written. Raises SceneGenError."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        if file.num_row_groups != len(digests):
            raise SceneGenError(
                f"{path.name} holds {file.num_row_groups} rows instead of {len(digests)}; check the disk"
            )
        for number, wanted in enumerate(digests):
            (row,) = file.read_row_group(number).to_batches()
            if row_digest(row) != wanted:
                raise SceneGenError(f"{path.name} row {number} was read back changed; check the disk and memory")


def _read_scenes(source: pa.NativeFile) -> list[Scene]:
    from scenegen.contract.schema import decode_scene

    return [decode_scene(row) for row in pq.ParquetFile(source).read().to_pylist()]
