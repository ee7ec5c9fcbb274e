"""How Parquet files are written: one row a row group, checksummed pages, and bytes that depend only on the rows."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq


class RowWriter:
    """Writes rows to a new local file, and syncs it to disk when it is closed without an error.

    Images are already compressed, so that their columns are stored as they are and get no min/max statistics.
    """

    def __init__(self, path: Path, schema: pa.Schema, extra: Mapping[str, str] | None = None) -> None:
        if extra:
            schema = schema.with_metadata({**(schema.metadata or {}), **{k: v.encode() for k, v in extra.items()}})
        self._path = path
        self._schema = schema
        thin = [
            field.name for field in schema if not pa.types.is_large_binary(field.type) and field.name != "thumbnail"
        ]
        leaves = {name: _leaf_columns(schema.field(name)) for name in schema.names}
        codecs = {leaf: "zstd" if name in thin else "none" for name in schema.names for leaf in leaves[name]}
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression=codecs,
            use_dictionary=False,
            write_statistics=[leaf for name in thin for leaf in leaves[name]],
            write_page_checksum=True,
        )

    def write(self, row: pa.RecordBatch) -> None:
        """Add one row as a row group of its own."""
        self._writer.write_batch(
            row.replace_schema_metadata(self._schema.metadata), row_group_size=max(row.num_rows, 1)
        )

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writer.close()
        if kind is None:
            with self._path.open("rb+") as file:
                os.fsync(file.fileno())


def _leaf_columns(field: pa.Field) -> list[str]:
    """Parquet's names for the leaf columns of a field, e.g. objects.list.element.visible_px."""

    def walk(kind: pa.DataType, path: str) -> list[str]:
        if pa.types.is_struct(kind):
            return [leaf for child in kind for leaf in walk(child.type, f"{path}.{child.name}")]
        if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
            return walk(kind.value_type, f"{path}.list.element")
        return [path]

    return walk(field.type, field.name)
