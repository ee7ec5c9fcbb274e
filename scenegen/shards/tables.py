"""Files beside the views (depth sidecars, objects tables): written whole, read back, put in place in one step."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from scenegen.contract.storage import Root
from scenegen.errors import CannotStoreError
from scenegen.shards.parquet import RowWriter

_DEAD_AFTER_S = 3600.0


class Written(NamedTuple):
    """The size of a new file."""

    rows: int
    bytes: int


def write_table(
    root: Root, name: str, schema: pa.Schema, rows: Iterator[pa.RecordBatch], check: Callable[[pq.ParquetFile], None]
) -> Written:
    """Write the rows of a file, read them back and put it in place.

    check: gets the written file and raises an error if it is wrong. Nothing is left behind if `rows` or `check` raises.
    Raises CannotStoreError if the file cannot be stored.
    """
    _remove_leftovers(root, name)
    written = Written(0, 0)

    def write(path: Path) -> None:
        nonlocal written
        with RowWriter(path, schema) as writer:
            for row in rows:
                writer.write(row)
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for number in range(file.num_row_groups):
                file.read_row_group(number)
            check(file)
            written = Written(file.num_row_groups, path.stat().st_size)

    try:
        root.write_atomic(name, write)
    except OSError as error:
        raise CannotStoreError(root.location, error) from error
    return written


def columns_of_rows(file: pq.ParquetFile, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """The values of scalar columns, row by row."""
    table = file.read(columns=list(columns))
    return [*zip(*(table[name].to_pylist() for name in columns), strict=True)]


def has_schema(found: pa.Schema, wanted: pa.Schema, apart_from: Sequence[str] = ()) -> bool:
    """True if a file has the wanted columns and the wanted metadata. Conventions of columns are not compared."""
    metadata = found.metadata or {}
    return found.equals(wanted, check_metadata=False) and all(
        metadata.get(key) == value for key, value in wanted.metadata.items() if key.decode() not in apart_from
    )


def _remove_leftovers(root: Root, name: str) -> None:
    """Remove unfinished files of killed writers. A writer adds a row every few seconds, so an old file has none."""
    if not root.is_local:
        return
    for path in Path(root.path("")).glob(f".{name}.*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _DEAD_AFTER_S:
                path.unlink()
