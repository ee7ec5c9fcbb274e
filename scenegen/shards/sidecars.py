"""Depth sidecars as files: written whole, read back, and recognised when a run resumes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scenegen.contract.index import list_shards, list_tables, parse_shard_name, shard_name
from scenegen.contract.sidecar import PREFIX, EstimatorMeta, sidecar_schema, sidecar_table
from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError
from scenegen.shards.tables import columns_of_rows, has_schema, write_table

_KEYS = ["scene_index", "view_index"]


@dataclass(frozen=True, slots=True)
class SidecarFile:
    """One sidecar. views: the views shard that it belongs to. name: its own file name."""

    shard: int
    views: str
    name: str


def sidecar_files(root: Root, estimator: str) -> list[SidecarFile]:
    """The sidecar of each finished views shard, whether it exists or not."""
    files = []
    for shard, views in list_shards(root, "views"):
        parsed = parse_shard_name(views)
        assert parsed is not None
        files.append(SidecarFile(shard, views, shard_name(sidecar_table(estimator), shard, parsed[2])))
    return files


def estimators_of(root: Root) -> list[str]:
    """Names of the estimators that have any sidecar, sorted."""
    return [table.removeprefix(PREFIX) for table in list_tables(root) if table.startswith(PREFIX)]


def row_keys(file: pq.ParquetFile) -> list[tuple[Any, ...]]:
    """(scene_index, view_index) of every row."""
    return columns_of_rows(file, _KEYS)


def config_digest(root: Root, views: str) -> str:
    """The config digest of the dataset that a views shard belongs to."""
    with root.open_input(views) as source:
        metadata = pq.read_schema(source).metadata or {}
    return metadata.get(b"config_digest", b"").decode()


def write_sidecar(root: Root, file: SidecarFile, meta: EstimatorMeta, rows: Iterator[pa.RecordBatch]) -> int:
    """Write the rows of a sidecar, in the order of the views, read it back and put it in place; returns its bytes.

    Nothing is left behind if `rows` raises. Raises CannotStoreError, and SceneGenError if it does not read back as
    written.
    """
    with root.open_input(file.views) as source:
        wanted = row_keys(pq.ParquetFile(source))

    def check(written: pq.ParquetFile) -> None:
        if row_keys(written) != wanted:
            raise SceneGenError(f"{file.name} has not the rows of {file.views}; was the shard made anew meanwhile?")

    return write_table(root, file.name, sidecar_schema(meta, config_digest(root, file.views)), rows, check).bytes


def is_current(root: Root, file: SidecarFile, meta: EstimatorMeta) -> bool:
    """True if the sidecar exists, is readable, and was made by this estimator with these settings for these views.

    Cheap, for resuming: `scenegen verify` also reads every map.
    """
    try:
        with root.open_input(file.name) as source, root.open_input(file.views) as views:
            found, wanted = pq.ParquetFile(source), sidecar_schema(meta, config_digest(root, file.views))
            return has_schema(found.schema_arrow, wanted) and row_keys(found) == row_keys(pq.ParquetFile(views))
    except (FileNotFoundError, pa.ArrowInvalid, OSError):
        return False


def missing_shards(root: Root, estimator: str, meta: EstimatorMeta, shards: Sequence[int]) -> list[SidecarFile]:
    """The sidecars of these shards that have to be made; shards that are not rendered yet are left out."""
    wanted = set(shards)
    return [
        file for file in sidecar_files(root, estimator) if file.shard in wanted and not is_current(root, file, meta)
    ]
