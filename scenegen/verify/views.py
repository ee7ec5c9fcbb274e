"""Checks the views and scenes of a dataset: every hash, every row, every scene once; on request their geometry."""

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scenegen.config import DatasetConfig
from scenegen.contract.index import ShardFile, list_shards, read_index, shard_name
from scenegen.contract.records import Scene
from scenegen.contract.schema import ShardMeta, decode_facts, decode_scene, decode_view, table_schema
from scenegen.contract.storage import Root
from scenegen.contract.validate import scene_problems, schema_problems, view_problems
from scenegen.errors import SceneGenError
from scenegen.shards.ledger import ShardLedger, read_ledger
from scenegen.shards.merge import summarise
from scenegen.verify.problem import Problem, problems_of_shards
from scenegen.verify.sidecars import sidecar_problems

AuditScene = Callable[[Scene], Sequence[str]]
"""A second opinion on a scene's geometry: sentences, none if all is well."""
_COPY_CHUNK_BYTES = 16 << 20


def verify_dataset(
    root: Root, config: DatasetConfig, meta: ShardMeta, processes: int = 1, audit: AuditScene | None = None
) -> Iterator[Problem]:
    """Everything that is wrong with views, scenes and depth sidecars: shard by shard, then the dataset as a whole.

    Nothing is changed. audit: applied to every scene if given; picklable if processes > 1.
    """
    check = partial(_check_shard, root, config, meta, audit=audit)
    yield from problems_of_shards(check, config.num_shards, processes)
    yield from _index_problems(root, config)


def _check_shard(
    root: Root, config: DatasetConfig, meta: ShardMeta, shard: int, audit: AuditScene | None = None
) -> list[Problem]:
    """Everything that is wrong with one shard and its depth sidecars."""
    try:
        ledger = read_ledger(root, shard)
    except SceneGenError as error:
        return [Problem(shard, str(error))]
    if ledger is None:
        return [Problem(shard, "not finished: it has no ledger")]
    problems = [Problem(shard, what) for what in _shard_problems(root, config, meta, ledger, audit)]
    # There is nothing to check the sidecars of a damaged shard against.
    return problems or [*sidecar_problems(root, shard, config.num_shards)]


def _shard_problems(
    root: Root, config: DatasetConfig, meta: ShardMeta, ledger: ShardLedger, audit: AuditScene | None
) -> Iterator[str]:
    reach = config.shard_scenes(ledger.shard)
    if ledger.config_digest != config.digest:
        yield f"its ledger is of config {ledger.config_digest[:12]}, not {config.digest[:12]}"
    if ledger.scenes != (reach.start, reach.stop):
        yield f"its ledger covers scenes {ledger.scenes}, not {(reach.start, reach.stop)}"
    for file, table in ((ledger.views, "views"), (ledger.scenes_file, "scenes")):
        wanted = shard_name(table, ledger.shard, config.num_shards)
        if file.name != wanted:
            yield f"its ledger names {file.name} instead of {wanted}"
            return
    with contextlib.ExitStack() as stack:
        try:
            views_path = stack.enter_context(_local_file(root, ledger.views.name))
            scenes_path = stack.enter_context(_local_file(root, ledger.scenes_file.name))
        except FileNotFoundError as error:
            yield f"a file is missing: {error.filename or error}"
            return
        damaged = [*file_problems(views_path, ledger.views), *file_problems(scenes_path, ledger.scenes_file)]
        yield from damaged
        try:
            yield from _row_problems(views_path, scenes_path, config, meta, ledger, audit)
        except (pa.ArrowException, OSError, ValueError) as error:
            if not damaged:  # a damaged file cannot be read: one reason is enough
                yield f"its rows cannot be read: {type(error).__name__}: {error}"


def file_problems(path: Path, promised: ShardFile) -> Iterator[str]:
    """What is wrong with the bytes of a local file, by their number and sha256. Raises FileNotFoundError."""
    size = path.stat().st_size
    if size != promised.bytes:
        yield f"{promised.name} has {size} bytes, its ledger says {promised.bytes}"
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != promised.sha256:
        yield f"{promised.name} has sha256 {found[:12]}..., its ledger says {promised.sha256[:12]}..."


def _row_problems(
    views_path: Path,
    scenes_path: Path,
    config: DatasetConfig,
    meta: ShardMeta,
    ledger: ShardLedger,
    audit: AuditScene | None,
) -> Iterator[str]:
    with pq.ParquetFile(scenes_path, page_checksum_verification=True) as scenes_file:
        yield from _header_problems("scenes", scenes_file, meta)
        scenes = [decode_scene(row) for row in scenes_file.read().to_pylist()]
    found = [scene.scene_index for scene in scenes]
    if found != [*config.shard_scenes(ledger.shard)]:
        yield f"it holds scenes {found} instead of {[*config.shard_scenes(ledger.shard)]}"
    failed = [(scene.scene_index, scene.failure) for scene in scenes if scene.status != "ok"]
    if failed != [*ledger.failed]:
        yield f"its failed scenes are {failed}, its ledger says {[*ledger.failed]}"
    for scene in scenes:
        yield from (f"scene {scene.scene_index}: {problem}" for problem in _scene_problems(scene, audit))
    with pq.ParquetFile(views_path, page_checksum_verification=True) as views_file:
        yield from _header_problems("views", views_file, meta)
        yield from _view_row_problems(views_file, scenes, config)


def _scene_problems(scene: Scene, audit: AuditScene | None) -> Iterator[str]:
    yield from scene_problems(scene)
    if scene.status != "ok":
        return
    if hashlib.sha256(scene.spec_json.encode()).hexdigest() != scene.spec_sha256:
        yield "spec_json does not have its spec_sha256"
    elif audit:
        yield from audit(scene)


def _view_row_problems(file: pq.ParquetFile, scenes: Sequence[Scene], config: DatasetConfig) -> Iterator[str]:
    """One row a row group, every view of every good scene once and in order, each as the contract says."""
    wanted = [(s, view) for s in scenes if s.status == "ok" for view in range(config.camera.num_views)]
    if file.num_row_groups != len(wanted) or file.metadata.num_rows != len(wanted):
        yield (
            f"it holds {file.metadata.num_rows} views in {file.num_row_groups} row groups, "
            f"expected one row group for each of {len(wanted)} views"
        )
        return
    for number, (scene, view_index) in enumerate(wanted):
        where = f"scene {scene.scene_index} view {view_index}"
        (row,) = file.read_row_group(number).to_pylist()
        if (row["scene_index"], row["view_index"]) != (scene.scene_index, view_index):
            yield f"row {number} is scene {row['scene_index']} view {row['view_index']}, expected {where}"
            continue
        try:
            view = decode_view(row, [decode_facts(facts) for facts in row["objects"]])
        except (ValueError, OSError) as error:
            yield f"{where} does not decode: {error}"
            continue
        yield from (f"{where}: {problem}" for problem in view_problems(view, scene))


def _header_problems(table: str, file: pq.ParquetFile, meta: ShardMeta) -> Iterator[str]:
    yield from (f"{table}: {problem}" for problem in schema_problems(file.schema_arrow, table_schema(table, meta)))
    found = {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}
    for key, value in meta.to_metadata().items():
        if key != "code_version" and found.get(key) != value:
            yield f"{table}: its metadata says {key} {found.get(key)!r}, the dataset is of {value!r}"


def _index_problems(root: Root, config: DatasetConfig) -> Iterator[Problem]:
    """dataset.json against the ledgers, and files that belong to no shard."""
    for table in ("views", "scenes"):
        try:
            strangers = [
                name for n, name in list_shards(root, table) if name != shard_name(table, n, config.num_shards)
            ]
        except ValueError as error:
            yield Problem(None, str(error))
            continue
        for name in strangers:
            yield Problem(None, f"{name} belongs to no shard of this dataset")
    try:
        ledgers = [ledger for n in range(config.num_shards) if (ledger := read_ledger(root, n))]
        index = read_index(root)
    except (SceneGenError, ValueError, KeyError, TypeError) as error:
        yield Problem(None, f"the index cannot be read: {error}")
        return
    if len(ledgers) < config.num_shards:
        return  # reported shard by shard
    if index is None:
        yield Problem(None, "dataset.json is missing")
    elif replace(index, tables=()) != summarise(config, ledgers):
        yield Problem(None, "dataset.json does not agree with the ledgers of the shards")


@contextlib.contextmanager
def _local_file(root: Root, name: str) -> Iterator[Path]:
    """The file itself, or a copy of it when it is in an object store. Raises FileNotFoundError."""
    if root.is_local:
        path = Path(root.path(name))
        if not path.is_file():
            raise FileNotFoundError(name)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="scenegen-verify-") as folder:
        path = Path(folder) / name
        with root.open_input(name) as source, path.open("wb") as sink:
            while chunk := source.read(_COPY_CHUNK_BYTES):
                sink.write(chunk)
        yield path
