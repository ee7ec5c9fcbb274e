"""Writes the files of a shard from its spooled scenes: assembled in order, read back, verified, then put in place."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scenegen.config import DatasetConfig
from scenegen.contract.index import ShardFile, shard_name
from scenegen.contract.records import Scene
from scenegen.contract.schema import ShardMeta, decode_scene, encode_scene, table_schema
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


@dataclass(frozen=True, slots=True)
class MissingScenes:
    """The shard cannot be assembled yet: these scenes are not in the spool, or are there but damaged."""

    shard: int
    scenes: tuple[int, ...]


def assemble_shard(root: Root, config: DatasetConfig, meta: ShardMeta, shard: int) -> ShardLedger | MissingScenes:
    """Make the files of a shard from its spool, then drop the spool.

    The bytes depend only on the spooled rows, so that two workers that do this at the same time leave the same files. A
    damaged scene is dropped from the spool and reported as missing. Raises OSError when the shard cannot be stored.
    """
    done = finished_shard(root, config, shard)
    if done:
        discard_shard(root, shard)
        return done
    spooled, missing = _look_into_spool(root, config, meta, shard)
    # Another worker may have finished the shard and removed its spool between our looks.
    if missing:
        return finished_shard(root, config, shard) or MissingScenes(shard, missing)
    try:
        ledger = _Assembly(root, config, meta, shard).store(spooled)
    except _DamagedSpoolError as error:
        discard_scenes(root, shard, error.scenes)
        return finished_shard(root, config, shard) or MissingScenes(shard, error.scenes)
    write_ledger(root, ledger)
    discard_shard(root, shard)
    return ledger


def reopen_failed(root: Root, config: DatasetConfig, meta: ShardMeta, ledger: ShardLedger) -> None:
    """Put the good scenes of a finished shard back into the spool and remove its ledger, so that only failed ones are
    made.

    If it is interrupted, it can be done again.
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


def _look_into_spool(
    root: Root, config: DatasetConfig, meta: ShardMeta, shard: int
) -> tuple[list[tuple[Scene, SceneRecord]], tuple[int, ...]]:
    """(scenes and records in the spool, missing scenes); damaged scenes are removed and count as missing."""
    spooled, missing = [], []
    for scene_index in config.shard_scenes(shard):
        try:
            spooled.append(read_record(root, meta, shard, scene_index))
        except FileNotFoundError:
            missing.append(scene_index)
        except DamagedSceneError:
            discard_scenes(root, shard, [scene_index])
            missing.append(scene_index)
    return spooled, tuple(missing)


class _DamagedSpoolError(Exception):
    """The views of these scenes could not be read; nothing was put in place."""

    def __init__(self, scenes: tuple[int, ...]) -> None:
        super().__init__(scenes)
        self.scenes = scenes


@dataclass(frozen=True, slots=True)
class _Assembly:
    """Writes the files of one shard."""

    root: Root
    config: DatasetConfig
    meta: ShardMeta
    shard: int

    def store(self, spooled: Sequence[tuple[Scene, SceneRecord]]) -> ShardLedger:
        """Raises _DamagedSpoolError, OSError, SceneGenError for a file that does not read back as written."""
        scenes, records = [scene for scene, _ in spooled], [record for _, record in spooled]
        views_file = self._write("views", self._view_rows(scenes))
        scenes_file = self._write("scenes", map(encode_scene, scenes))
        reach = self.config.shard_scenes(self.shard)
        statistics = shard_statistics(scenes, records, views_file.rows)
        return ShardLedger(
            self.shard, (reach.start, reach.stop), self.config.digest, views_file, scenes_file, **statistics
        )

    def _view_rows(self, scenes: Sequence[Scene]) -> Iterator[pa.RecordBatch]:
        """The rows in order, one scene in memory at a time; raises _DamagedSpoolError with all damaged scenes."""
        damaged = []
        for scene in scenes:
            try:
                views = read_scene(self.root, self.meta, self.shard, scene.scene_index).views
            except (FileNotFoundError, DamagedSceneError):
                damaged.append(scene.scene_index)
                continue
            yield from views
        if damaged:
            raise _DamagedSpoolError(tuple(damaged))

    def _write(self, table: str, rows: Iterable[pa.RecordBatch]) -> ShardFile:
        name = shard_name(table, self.shard, self.config.num_shards)
        made: list[ShardFile] = []

        def write(path: Path) -> None:
            digests = []
            with RowWriter(path, table_schema(table, self.meta)) as writer:
                for row in rows:
                    writer.write(row)
                    digests.append(row_digest(row))
            _verify_file(path, digests)
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            made.append(ShardFile(name, len(digests), path.stat().st_size, sha256))

        self.root.write_atomic(name, write)
        return made[0]


def row_digest(row: pa.RecordBatch) -> bytes:
    """A digest of the values of one row, whatever the layout of its buffers."""
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
    return [decode_scene(row) for row in pq.ParquetFile(source).read().to_pylist()]
