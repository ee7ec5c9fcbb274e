"""The reader of a dataset: random access to decoded views and scenes, and scalar columns without decoding an image."""

import bisect
import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scenegen.contract import schema, sidecar, sidecar_columns
from scenegen.contract.cache import cached
from scenegen.contract.index import DatasetIndex, list_shards, parse_shard_name, read_index
from scenegen.contract.records import BOTH, FIRST, OPAQUE, OPAQUE_IMAGES, Scene, View, ViewObject
from scenegen.contract.storage import Root

IMAGES = ("rgb", "depth_m", "instance_id", "normal_cam")
_COLUMNS_OF_IMAGE = {
    "rgb": ["rgb"],
    "depth_m": ["depth", "depth_offset_m", "depth_step_m"],
    "instance_id": ["instance_id"],
    "normal_cam": ["normal_cam"],
    "albedo": ["albedo"],
    "depth_opaque_m": ["depth_opaque", "depth_opaque_offset_m", "depth_opaque_step_m"],
    "instance_id_opaque": ["instance_id_opaque"],
    "normal_cam_opaque": ["normal_cam_opaque"],
}
_VIEW_COLUMNS = ["scene_index", "view_index", "width", "height", "K_px", "T_world_cam"]


def how_to_make(root: Root) -> str:
    """The command that makes a small dataset at `root`, without any download and on any machine."""
    if root.is_on_hub:
        repo = root.base.removeprefix("datasets/").partition("@")[0]
        make = "scenegen render --preset preview --num-scenes 20 --out data/"
        return f"{make}; scenegen push --data data/ --repo {repo}"
    return f"scenegen render --preset preview --num-scenes 20 --out {root.location}"


class Dataset:
    """A dataset folder (or the URI of an object store or of the hub) as a sequence of views.

    Views are numbered over the shards in their order. A row group holds one view, so that reading a view is one small
    read. Of a dataset that is still being made, the finished shards are read. Instances can be pickled, without open
    files, and therefore sent to data-loader workers.
    """

    def __init__(self, root: Root, shards: Sequence[tuple[int, str, str]], index: DatasetIndex | None) -> None:
        """Use `Dataset.open`. shards: (number, views file, scenes file)."""
        self.root = root
        self.index = index
        self._shards = list(shards)
        rows = self._rows_of_shards()
        self._ends = list(accumulate(rows))
        self._files: OrderedDict[str, pq.ParquetFile] = OrderedDict()
        self._scenes: OrderedDict[int, dict[int, Scene]] = OrderedDict()
        self._sidecars: dict[str, dict[int, str]] | None = None

    @classmethod
    def open(cls, location: str | os.PathLike[str]) -> "Dataset":
        """Open a dataset for reading.

        Raises FileNotFoundError if no finished shard is there, ValueError if two datasets lie in one folder.
        """
        root = Root.open(location)
        views = dict(list_shards(root, "views"))
        scenes = dict(list_shards(root, "scenes"))
        shards = [(number, views[number], scenes[number]) for number in sorted(views.keys() & scenes.keys())]
        if not shards:
            raise FileNotFoundError(f"{root.location} holds no finished shard; make some with: {how_to_make(root)}")
        index = read_index(root)
        return cls(root, shards, index if index and len(index.shards) == len(shards) else None)

    def __len__(self) -> int:
        """Number of views."""
        return self._ends[-1]

    def view(self, number: int, images: Sequence[str] = IMAGES, objects: bool = True) -> View:
        """View `number`, decoded. `images` chooses what is read: of rgb, depth_m, instance_id, normal_cam, albedo,
        depth_opaque_m, instance_id_opaque and normal_cam_opaque (where `transparent` is "both"). Without `objects`,
        its facts and objects are empty, and not read.

        Raises IndexError beyond the last view, ValueError for an unknown image and for one that the dataset lacks.
        """
        unknown = set(images) - _COLUMNS_OF_IMAGE.keys()
        if unknown:
            raise ValueError(f"no image {sorted(unknown)}; choose from {sorted(_COLUMNS_OF_IMAGE)}")
        if (missing := sorted(set(images) & set(OPAQUE_IMAGES))) and self.transparent != BOTH:
            what = f"{self.root.location} has no {', '.join(missing)}"
            if self.transparent == OPAQUE:
                plain = ", ".join(name.replace("_opaque", "") for name in missing)
                raise ValueError(f"{what}: it shows opaque surfaces alone, so read {plain}")
            raise ValueError(f"{what}; such columns are made with: scenegen render --render.transparent both")
        position, row = self._locate(number)
        columns = [*_VIEW_COLUMNS, *(column for image in images for column in _COLUMNS_OF_IMAGE[image])]
        values = self._row(self._file(self._shards[position][1]), row, [*columns, *(["objects"] if objects else [])])
        if not objects:
            return schema.decode_view(values, [])
        view = schema.decode_view(values, [schema.decode_facts(facts) for facts in values["objects"]])
        known = {o.instance_id: o for o in self._scenes_of_shard(position)[view.scene_index].objects}
        return replace(view, objects=tuple(ViewObject(facts, known[facts.instance_id]) for facts in view.facts))

    @property
    def shard_sizes(self) -> tuple[int, ...]:
        """How many views each finished shard holds, in the order of the views."""
        return tuple(end - start for start, end in zip([0, *self._ends], self._ends, strict=False))

    @property
    def transparent(self) -> str:
        """Which surfaces depth, ids and normals show behind something transparent: first, opaque or both."""
        return self.metadata().get("transparent", FIRST)

    def place(self, number: int) -> str:
        """Where view `number` is stored, for messages: shard file and row. Raises IndexError beyond the last view."""
        position, row = self._locate(number)
        return f"{self.root.location}/{self._shards[position][1]}, row {row}"

    def estimators(self, complete: bool = True) -> tuple[str, ...]:
        """Depth estimators with a sidecar for every finished shard, sorted; for any shard if not `complete`.

        "gt" is not among them: it needs no sidecar and `depth_estimate` always knows it.
        """
        numbers = {number for number, _, _ in self._shards}
        found = self._sidecar_files()
        return tuple(sorted(name for name, files in found.items() if not complete or numbers <= files.keys()))

    def depth_estimate(self, number: int, estimator: str) -> sidecar.DepthEstimate:
        """An estimator's depth of view `number`: raw map, confidence, and alignment to the ground truth.

        `.aligned_m` is its depth in metres, `.valid` the pixels where it is usable. "gt" gives the exact depth.
        Raises IndexError beyond the last view, FileNotFoundError if the shard has no sidecar of this estimator,
        ValueError if the sidecar is older than the shard and has other rows.
        """
        position, row = self._locate(number)
        if estimator == sidecar.GROUND_TRUTH:
            view = self.view(number, ["depth_m"])
            assert view.depth_m is not None
            seen = [facts.instance_id for facts in view.facts if facts.visible_px]
            return sidecar.ground_truth_estimate(view.scene_index, view.view_index, view.depth_m, seen)
        name = self._sidecar_of(position, estimator)
        file = self._file(name)
        if file.metadata.num_rows != self._file(self._shards[position][1]).metadata.num_rows:
            raise ValueError(
                f"{name} was made before its views shard was made anew; make it again: "
                f"scenegen annotate --data {self.root.location} --estimators {estimator}"
            )
        values = self._row(file, row)
        return sidecar.decode_estimate(values, sidecar.EstimatorMeta.from_metadata(_key_values(file)))

    def estimator_meta(self, estimator: str) -> sidecar.EstimatorMeta:
        """Kind, licences and weights of an estimator, from its first sidecar. Raises FileNotFoundError."""
        files = self._sidecar_files().get(estimator)
        name = files[min(files)] if files else self._sidecar_of(0, estimator)
        return sidecar.EstimatorMeta.from_metadata(_key_values(self._file(name)))

    def scene(self, scene_index: int) -> Scene:
        """One scene. Raises KeyError if no finished shard holds it."""
        for position in self._shards_that_may_hold(scene_index):
            scenes = self._scenes_of_shard(position)
            if scene_index in scenes:
                return scenes[scene_index]
        raise KeyError(f"scene {scene_index} is in no finished shard of {self.root.location}")

    def scenes(self) -> Iterator[Scene]:
        """All scenes, in order."""
        for position in range(len(self._shards)):
            yield from self._scenes_of_shard(position).values()

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A whole table with the chosen columns, without decoding an image.

        name: "views", "scenes", or "instances": one row an object and view, with scene_index, view_index, asset_uid
        and the columns of ObjectFacts; or a sidecar such as "depth_moge2", for the shards that have it.
        Sub-columns are reached with dots: "objects.visible_px". By default all columns but the images.
        """
        if name == "instances":
            table = self._instances()
            return table.select(list(columns)) if columns is not None else table
        fields, files = self._fields_and_files(name)
        if columns is None:
            columns = [field.name for field in fields if not pa.types.is_large_binary(field.type)]
        return pa.concat_tables(_read_columns(self._file(file), columns) for file in files)

    def metadata(self) -> dict[str, str]:
        """The key-value metadata of the first shard: schema version, config digest, seed, renderer, colours."""
        return _key_values(self._file(self._shards[0][1]))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": OrderedDict(), "_scenes": OrderedDict()}

    def _rows_of_shards(self) -> list[int]:
        if self.index:
            return [entry.views.rows for entry in sorted(self.index.shards, key=lambda entry: entry.shard)]
        rows = []
        for _, views, _ in self._shards:
            with self.root.open_input(views) as file:
                rows.append(pq.read_metadata(file).num_rows)
        return rows

    def _fields_and_files(self, name: str) -> tuple[Sequence[pa.Field], list[str]]:
        if name in schema.FIELDS:
            return schema.fields_of(name, self.transparent), [
                views if name == "views" else scenes for _, views, scenes in self._shards
            ]
        files = self._sidecar_files().get(name.removeprefix(sidecar.PREFIX))
        if not name.startswith(sidecar.PREFIX) or not files:
            known = ["views", "scenes", "instances", *map(sidecar.sidecar_table, self.estimators(complete=False))]
            raise ValueError(f"no table {name!r}; choose one of {', '.join(known)}")
        return sidecar_columns.SIDECAR_FIELDS, [files[number] for number, _, _ in self._shards if number in files]

    def _sidecar_files(self) -> dict[str, dict[int, str]]:
        """Estimator to shard number to file; listed once."""
        if self._sidecars is None:
            self._sidecars = {}
            for name in self.root.list():
                parsed = parse_shard_name(name)
                if parsed and parsed[0].startswith(sidecar.PREFIX):
                    self._sidecars.setdefault(parsed[0].removeprefix(sidecar.PREFIX), {})[parsed[1]] = name
        return self._sidecars

    def _sidecar_of(self, position: int, estimator: str) -> str:
        shard = self._shards[position][0]
        try:
            return self._sidecar_files()[estimator][shard]
        except KeyError:
            has = ", ".join(self.estimators(complete=False)) or "no estimator"
            raise FileNotFoundError(
                f"shard {shard} of {self.root.location} has no depth of {estimator!r} (there is {has}, and gt); "
                f"make it with: scenegen annotate --data {self.root.location} --estimators {estimator}"
            ) from None

    def _locate(self, number: int) -> tuple[int, int]:
        """(position in self._shards, row in that shard) of a view."""
        if not 0 <= number < len(self):
            raise IndexError(f"view {number} of {len(self)}")
        position = bisect.bisect_right(self._ends, number)
        start = self._ends[position - 1] if position else 0
        return position, number - start

    def _file(self, name: str) -> pq.ParquetFile:
        return cached(self._files, name, lambda: self.root.open_parquet(name))

    def _row(self, file: pq.ParquetFile, row: int, columns: Sequence[str] | None = None) -> dict[str, Any]:
        """A row, which is a row group, as Python values. Handing small columns to threads pays over a network alone."""
        (values,) = file.read_row_group(row, columns=columns, use_threads=not self.root.is_local).to_pylist()
        return values

    def _scenes_of_shard(self, position: int) -> dict[int, Scene]:
        def read() -> dict[int, Scene]:
            rows = self._file(self._shards[position][2]).read().to_pylist()
            return {row["scene_index"]: schema.decode_scene(row) for row in rows}

        return cached(self._scenes, position, read)

    def _shards_that_may_hold(self, scene_index: int) -> list[int]:
        """Shards hold equal, consecutive ranges of scenes: start where the index must be, then look everywhere."""
        first = self._scenes_of_shard(0)
        width = max(len(first), 1)
        guess = [p for p, shard in enumerate(self._shards) if shard[0] == scene_index // width]
        return guess + [p for p in range(len(self._shards)) if p not in guess]

    def _instances(self) -> pa.Table:
        views = self.table("views", ["scene_index", "view_index", "objects"]).combine_chunks()
        objects = views["objects"].combine_chunks()
        parents = pc.list_parent_indices(objects)
        flat = pa.Table.from_struct_array(objects.flatten())
        scene_index = views["scene_index"].combine_chunks().take(parents)
        uid = {(s.scene_index, o.instance_id): o.asset_uid for s in self.scenes() for o in s.objects}
        keys = zip(scene_index.to_pylist(), flat["instance_id"].to_pylist(), strict=True)
        flat = flat.add_column(0, "scene_index", scene_index)
        flat = flat.add_column(1, "view_index", views["view_index"].combine_chunks().take(parents))
        return flat.add_column(2, "asset_uid", pa.array([uid[key] for key in keys], pa.string()))


def _key_values(file: pq.ParquetFile) -> dict[str, str]:
    raw = file.schema_arrow.metadata or {}
    return {key.decode(): value.decode() for key, value in raw.items()}


def _read_columns(file: pq.ParquetFile, columns: Sequence[str]) -> pa.Table:
    # Parquet calls the elements of a list "list.element"; readers should not have to.
    known = {path.replace(".list.element", ""): path for path in _leaf_paths(file)}
    wanted = []
    for column in columns:
        leaves = [path for short, path in known.items() if short == column or short.startswith(f"{column}.")]
        if not leaves:
            raise ValueError(f"no column {column!r}; there are {sorted(known)}")
        wanted += leaves
    return file.read(columns=wanted)


def _leaf_paths(file: pq.ParquetFile) -> list[str]:
    return [file.schema.column(i).path for i in range(len(file.schema))]
