"""What the repository of a dataset holds, and whether each file is what it promises to be."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scenegen.contract.index import DatasetIndex, ShardFile, list_shards, parse_shard_name, shard_name
from scenegen.contract.objects import OBJECTS
from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError
from scenegen.shards.sidecars import PREFIX, row_keys
from scenegen.verify.problem import Problem
from scenegen.verify.views import file_problems

_READ_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class TableFile:
    """A shard file of a table. promised: what its ledger says of it; None for tables beside the views.

    shard: the number in its name. size_bytes: of the file that is there.
    """

    path: Path
    shard: int
    size_bytes: int
    promised: ShardFile | None = None

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def sha256(self) -> str:
        """What the ledger promises; of other tables that of the bytes, which are read."""
        if self.promised:
            return self.promised.sha256
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def table_files(root: Root, index: DatasetIndex) -> list[TableFile]:
    """The shard files of every table of a finished local dataset.

    Raises SceneGenError, with the command that finishes it, for a table beside the views that is not whole.
    """
    folder = Path(root.base)
    files = [
        TableFile(folder / promised.name, entry.shard, promised.bytes, promised)
        for entry in index.shards
        for promised in (entry.views, entry.scenes)
    ]
    for table in index.tables:
        paths = {shard: folder / name for shard, name in _whole_table(root, table, index.num_shards)}
        files += [TableFile(path, shard, path.stat().st_size) for shard, path in paths.items()]
    return files


def _whole_table(root: Root, table: str, num_shards: int) -> list[tuple[int, str]]:
    """(shard, file name) of every shard of a table beside the views. Raises SceneGenError if one is missing."""
    found = list_shards(root, table)
    parsed = parse_shard_name(found[0][1])
    assert parsed is not None
    is_depth = table.startswith(PREFIX)
    wanted = num_shards if is_depth else parsed[2]
    if found == [(shard, shard_name(table, shard, wanted)) for shard in range(wanted)]:
        return found
    finish = f"scenegen objects --data {root.location}"
    if is_depth:
        finish = f"scenegen annotate --data {root.location} --estimators {table.removeprefix(PREFIX)}"
    raise SceneGenError(f"{table} has {len(found)} of {wanted} shards; finish it: {finish} (or remove its files)")


def damaged(root: Root, files: Sequence[TableFile], num_shards: int) -> list[Problem]:
    """What is wrong with these files. Every byte is read, no image is decoded.

    Views and scenes must have the sha256 of their ledgers, whose rows were checked when they were written. Tables
    beside them must have good pages, and depth sidecars the rows of their views.
    """
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        return [problem for found in pool.map(partial(_problems, root, num_shards), files) for problem in found]


def _problems(root: Root, num_shards: int, file: TableFile) -> list[Problem]:
    if file.promised:
        return [Problem(file.shard, what) for what in file_problems(file.path, file.promised)]
    try:
        return [Problem(None, f"{file.name}: {what}", file.name) for what in _table_problems(root, num_shards, file)]
    except (pa.ArrowException, OSError, ValueError) as error:
        return [Problem(None, f"{file.name}: cannot be read: {error}", file.name)]


def _table_problems(root: Root, num_shards: int, file: TableFile) -> Iterator[str]:
    with pq.ParquetFile(file.path, page_checksum_verification=True) as rows:
        for number in range(rows.num_row_groups):
            rows.read_row_group(number)
        if file.name.startswith(PREFIX):
            with pq.ParquetFile(Path(root.base) / shard_name("views", file.shard, num_shards)) as views:
                if row_keys(rows) != row_keys(views):
                    yield "has other rows than its views, which were made anew"
        elif not file.name.startswith(OBJECTS):
            yield "belongs to no table of a dataset"
