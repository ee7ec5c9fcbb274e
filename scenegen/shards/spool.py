"""The spool: finished scenes of an unfinished shard, one small Parquet file each, put in place in one step.

The rows of the views are the file's rows. The row of the scenes table and the record of how the scene was made are in
the file's key-value metadata, so that a scene is there whole or not at all.
"""

import base64
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scenegen.contract.records import Scene
from scenegen.contract.schema import ShardMeta, decode_scene, encode_scene, table_schema
from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError
from scenegen.shards.parquet import RowWriter

SPOOL = "_spool"
_SCENE_NAME = re.compile(r"scene-(\d+)\.parquet")


@dataclass(frozen=True, slots=True)
class SceneRecord:
    """How a scene was made. This is never in rows, because it differs between two runs.

    quarantined: (asset uid, reason) of assets that could not be used. host: the machine that made it.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    quarantined: tuple[tuple[str, str], ...] = ()
    host: str = ""


@dataclass(frozen=True, slots=True)
class SpooledScene:
    """A scene in the spool. views: its rows, in the order of the views."""

    scene: Scene
    record: SceneRecord
    views: tuple[pa.RecordBatch, ...] = field(repr=False)


class DamagedSceneError(SceneGenError):
    """A spooled scene is damaged, or was made for another dataset; it has to be made again."""


def shard_folder(shard: int) -> str:
    return f"{SPOOL}/shard-{shard:05d}"


def scene_file(shard: int, scene_index: int) -> str:
    return f"{shard_folder(shard)}/scene-{scene_index:08d}.parquet"


def write_scene(
    root: Root, meta: ShardMeta, shard: int, scene: Scene, views: Sequence[pa.RecordBatch], record: SceneRecord
) -> int:
    """Put a finished (or failed) scene into the spool; returns its bytes. Raises OSError when it cannot be stored."""
    extra = {"scene": _pack(encode_scene(scene)), "record": json.dumps(asdict(record)), "views": str(len(views))}
    size = 0

    def write(path: Path) -> None:
        nonlocal size
        with RowWriter(path, table_schema("views", meta), extra) as rows:
            for view in views:
                rows.write(view)
        size = path.stat().st_size

    root.write_atomic(scene_file(shard, scene.scene_index), write)
    return size


def finished_scenes(root: Root, shard: int) -> set[int]:
    """The scenes of a shard that are in the spool, by file names alone; reading a scene checks it."""
    matches = (_SCENE_NAME.fullmatch(name) for name in root.list(shard_folder(shard)))
    return {int(match[1]) for match in matches if match}


def read_record(root: Root, meta: ShardMeta, shard: int, scene_index: int) -> tuple[Scene, SceneRecord]:
    """The scene and its record from the footer, without its views. Raises like `read_scene`."""
    with _open(root, meta, shard, scene_index) as file:
        return _unpack(file)


def read_scene(root: Root, meta: ShardMeta, shard: int, scene_index: int) -> SpooledScene:
    """A scene with its rows, checksums verified.

    Raises FileNotFoundError if it is not there, DamagedSceneError if it is damaged or was made for another dataset.
    """
    with _open(root, meta, shard, scene_index) as file:
        scene, record = _unpack(file)
        try:
            views = tuple(batch for n in range(file.num_row_groups) for batch in file.read_row_group(n).to_batches())
        except OSError as error:
            raise DamagedSceneError(f"scene {scene_index} in the spool is damaged: {error}") from None
    return SpooledScene(scene, record, views)


def discard_scenes(root: Root, shard: int, scenes: Iterable[int]) -> None:
    """Remove scenes, so that they are made again."""
    for scene_index in scenes:
        root.remove(scene_file(shard, scene_index))


def discard_failed(root: Root, meta: ShardMeta, shard: int) -> None:
    """Remove the scenes of a shard that are spooled as failed, and those that cannot be read."""
    for scene_index in sorted(finished_scenes(root, shard)):
        try:
            good = read_record(root, meta, shard, scene_index)[0].status == "ok"
        except DamagedSceneError:
            good = False
        if not good:
            discard_scenes(root, shard, [scene_index])


def discard_shard(root: Root, shard: int) -> None:
    """Remove a shard's spool, unfinished temporary files included."""
    root.remove_folder(shard_folder(shard))


def _open(root: Root, meta: ShardMeta, shard: int, scene_index: int) -> pq.ParquetFile:
    name = scene_file(shard, scene_index)
    source = root.open_input(name)
    try:
        file = pq.ParquetFile(source, page_checksum_verification=True)
    except (pa.ArrowInvalid, OSError) as error:
        source.close()
        raise DamagedSceneError(f"{name} is damaged: {error}") from None
    found = {
        key.decode(): value.decode() for key, value in (file.metadata.metadata or {}).items() if key != b"ARROW:schema"
    }
    wanted = meta.to_metadata()
    different = {key for key in wanted if found.get(key) != wanted[key]}
    if different or found.get("views") != str(file.metadata.num_rows):
        file.close()
        raise DamagedSceneError(
            f"{name} was made by another version or config ({', '.join(sorted(different)) or 'views'})"
        )
    return file


def _unpack(file: pq.ParquetFile) -> tuple[Scene, SceneRecord]:
    found = file.metadata.metadata
    with pa.ipc.open_stream(base64.b64decode(found[b"scene"])) as stream:
        scene = decode_scene(stream.read_all().to_pylist()[0])
    raw = json.loads(found[b"record"])
    quarantined = tuple((uid, reason) for uid, reason in raw["quarantined"])
    return scene, SceneRecord(**{**raw, "quarantined": quarantined})


def _pack(batch: pa.RecordBatch) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return base64.b64encode(sink.getvalue()).decode()
