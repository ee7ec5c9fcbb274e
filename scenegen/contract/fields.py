"""Shared by the tables of the contract: columns that state their conventions, and record batches of one row."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

PLANES_DOC = (
    "little-endian uint16 planes, channel first; each row as differences modulo 65536 to the pixel on its left, "
    "first pixel as it is; all low bytes, then all high bytes; zstd"
)


def field_of(name: str, kind: pa.DataType, doc: str, nullable: bool = False, **facts: str) -> pa.Field:
    """A column whose metadata holds its meaning (`doc`), unit, shape, axes and invalid value (`facts`)."""
    return pa.field(name, kind, nullable=nullable, metadata={"doc": doc, **facts})


def one_row(row: Mapping[str, Any], schema: pa.Schema) -> pa.RecordBatch:
    """A record batch of one row. Raises KeyError for a missing column."""
    columns = [pa.array([row[field.name]], type=field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
