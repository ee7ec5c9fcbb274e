"""The reader of the objects tables: geometry, clean renders, voxel features and latents of each asset."""

import bisect
import json
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from scenegen.contract import objects
from scenegen.contract.cache import cached
from scenegen.contract.index import list_shards, parse_shard_name
from scenegen.contract.objects import ObjectGeometry, ObjectLatents, ObjectView, StepMeta, ViewKind, VoxelFeatures
from scenegen.contract.storage import Root

_KEYS = {  # the columns that, with the asset, identify a row
    objects.OBJECTS: [],
    objects.VIEWS: ["kind", "view_index"],
    objects.FEATURES_PREFIX: [],
    objects.LATENTS_PREFIX: ["rotation_index"],
}
_VIEW_COLUMNS = ["asset_uid", "kind", "view_index", "width", "height", "K_px", "T_obj_cam"]
_COLUMNS_OF_IMAGE = {"rgba": ["rgba"], "depth": ["depth", "depth_offset", "depth_step"], "crop": ["crop"]}

Key = tuple[Any, ...]
Cached = TypeVar("Cached")


def how_to_make_objects(root: Root) -> str:
    """The command that makes the tables of the dataset at `root`, with the sizes of the dataset's preset."""
    try:
        preset = json.loads(root.read_bytes("config.json")).get("preset", "")
    except (OSError, ValueError, AttributeError):
        preset = ""
    return f"scenegen objects --data {root.location}{f' --preset {preset}' if preset else ''}"


class ObjectDataset:
    """The objects tables of a folder (or object-store URI), by asset uid.

    Random access: one row is one small read. Instances can be pickled, without open files.
    """

    def __init__(self, root: Root) -> None:
        """Use `ObjectDataset.open`."""
        self.root = root
        self._files: dict[str, list[str]] = {}  # table to its files, in the order of the shards
        names = {parsed[0] for parsed in map(parse_shard_name, root.list()) if parsed}
        for table in sorted(name for name in names if name.startswith(objects.OBJECTS)):
            self._files[table] = [name for _, name in list_shards(root, table)]
        self._open: OrderedDict[str, pq.ParquetFile] = OrderedDict()
        self._rows: OrderedDict[str, dict[str, dict[Key, int]]] = OrderedDict()

    @classmethod
    def open(cls, location: str | os.PathLike[str]) -> "ObjectDataset":
        """Open the tables of a folder. Raises FileNotFoundError if it has no objects shard."""
        dataset = cls(Root.open(location))
        if objects.OBJECTS not in dataset._files:
            raise FileNotFoundError(
                f"{dataset.root.location} has no objects shard; make them with: {how_to_make_objects(dataset.root)}"
            )
        return dataset

    @property
    def tables(self) -> tuple[str, ...]:
        """The existing tables, sorted, incomplete ones included."""
        return tuple(sorted(self._files))

    @property
    def extractors(self) -> tuple[str, ...]:
        """Feature extractors with a table."""
        return self._suffixes(objects.FEATURES_PREFIX)

    @property
    def encoders(self) -> tuple[str, ...]:
        """Encoders with a table of latents."""
        return self._suffixes(objects.LATENTS_PREFIX)

    def uids(self) -> tuple[str, ...]:
        """All assets, sorted, failed ones included; reads the scalar columns of all shards."""
        return tuple(uid for name in self._files[objects.OBJECTS] for uid in self._rows_of(objects.OBJECTS, name))

    def table(self, table: str, columns: Sequence[str]) -> pa.Table:
        """Columns of every row of a table, such as the split of each asset. Raises FileNotFoundError."""
        return pa.concat_tables(self._file(name).read(columns=list(columns)) for name in self._files_of(table))

    def meta(self, table: str) -> StepMeta:
        """The metadata of a table, from its first file. Raises FileNotFoundError."""
        raw = self._file(self._files_of(table)[0]).schema_arrow.metadata or {}
        return StepMeta.from_metadata({key.decode(): value.decode() for key, value in raw.items()})

    def geometry(self, uid: str) -> ObjectGeometry:
        """Mesh and voxels. Raises KeyError for an unknown asset; look at `.status` of the result."""
        return objects.decode_geometry(self._row(objects.OBJECTS, uid, ()))

    def view_keys(self, uid: str) -> tuple[tuple[ViewKind, int], ...]:
        """(kind, view_index) of the stored views of an asset; empty if it failed."""
        return tuple(self._keys(objects.VIEWS, uid))

    def num_views(self, uid: str, kind: ViewKind) -> int:
        """How many views of one kind are stored; 0 for a failed asset."""
        return sum(key[0] == kind for key in self.view_keys(uid))

    def view(
        self, uid: str, kind: ViewKind, index: int, images: Sequence[str] = ("rgba", "depth", "crop")
    ) -> ObjectView:
        """One clean render. `images` chooses what is read and decoded. Raises KeyError if there is no such view."""
        columns = [*_VIEW_COLUMNS, *(column for image in images for column in _COLUMNS_OF_IMAGE[image])]
        return objects.decode_object_view(self._row(objects.VIEWS, uid, (kind, index), columns))

    def features(self, uid: str, extractor: str) -> VoxelFeatures:
        """Image features in the voxels of `geometry(uid)`. Raises KeyError, FileNotFoundError."""
        return objects.decode_features(self._row(objects.FEATURES_PREFIX + extractor, uid, ()))

    def rotations(self, uid: str, encoder: str) -> tuple[int, ...]:
        """The rotation indices with latents; 0 is the canonical pose."""
        return tuple(key[0] for key in self._keys(objects.LATENTS_PREFIX + encoder, uid))

    def latents(self, uid: str, encoder: str, rotation_index: int = 0) -> ObjectLatents:
        """The latents of one pose. Raises KeyError, FileNotFoundError."""
        return objects.decode_latents(self._row(objects.LATENTS_PREFIX + encoder, uid, (rotation_index,)))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict(), "_rows": OrderedDict()}

    def _suffixes(self, prefix: str) -> tuple[str, ...]:
        return tuple(table.removeprefix(prefix) for table in self.tables if table.startswith(prefix))

    def _files_of(self, table: str) -> list[str]:
        try:
            return self._files[table]
        except KeyError:
            raise FileNotFoundError(
                f"{self.root.location} has no table {table} (there are {', '.join(self.tables)}); "
                f"make it with: scenegen objects --data {self.root.location}"
            ) from None

    def _row(self, table: str, uid: str, key: Key, columns: Sequence[str] | None = None) -> Mapping[str, Any]:
        name, rows = self._find(table, uid)
        if key not in rows:
            raise KeyError(f"{table} of {self.root.location} has no {key or 'row'} of asset {uid!r}")
        return self._file(name).read_row_group(rows[key], columns=columns).to_pylist()[0]

    def _keys(self, table: str, uid: str) -> list[Key]:
        return list(self._find(table, uid)[1])

    def _find(self, table: str, uid: str) -> tuple[str, dict[Key, int]]:
        """The file that has the rows of an asset, and its rows by key; shards are sorted by uid."""
        files = self._files_of(table)
        position = bisect.bisect_right(files, uid, key=lambda name: next(iter(self._rows_of(table, name)), "")) - 1
        rows = self._rows_of(table, files[position]) if position >= 0 else {}
        return files[max(position, 0)], rows.get(uid, {})

    def _rows_of(self, table: str, name: str) -> dict[str, dict[Key, int]]:
        """Asset to key to row group of one file."""

        def read() -> dict[str, dict[Key, int]]:
            keys = next(names for prefix, names in reversed(_KEYS.items()) if table.startswith(prefix))
            columns = self._file(name).read(columns=["asset_uid", *keys]).to_pydict()
            found: dict[str, dict[Key, int]] = {}
            for row, (uid, *key) in enumerate(zip(*columns.values(), strict=True)):
                found.setdefault(uid, {})[tuple(key)] = row
            return found

        return cached(self._rows, name, read)

    def _file(self, name: str) -> pq.ParquetFile:
        return cached(self._open, name, lambda: self.root.open_parquet(name))
