"""What the actors of `scenegen objects` do, one a step: they fill the file of one table and shard.

An asset that cannot be used is recorded as failed in the objects table, with the reason, and the others go on.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from scenegen.contract import objects
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.objects import ObjectGeometry, ObjectView, StepMeta
from scenegen.contract.storage import Root
from scenegen.errors import AssetError
from scenegen.jobs.object_options import ObjectOptions
from scenegen.jobs.object_tools import ObjectTools, ToolsWork
from scenegen.shards.object_spool import discard_spool, is_spooled, reopen, spooled_rows
from scenegen.shards.objects import (
    ObjectShard,
    failed_geometry,
    good_assets,
    read_geometries,
    record_failures,
    write_rows,
)

if TYPE_CHECKING:
    from scenegen.annotate.objects.encoders import EncoderFiles
    from scenegen.annotate.objects.manifest import ExtractorRecord
    from scenegen.annotate.objects.projection import FeatureViews
    from scenegen.annotate.weights import Weights
    from scenegen.jobs.shard_actors import Event

_IMAGES = ("rgba", "depth")


class GeometryMaker:
    """Meshes and voxels; see scenegen.jobs.shard_actors.ShardMaker. Units are assets."""

    def __init__(self, work: ToolsWork, threads: int) -> None:
        self._work, self._tools = work, ObjectTools(work, threads)

    def make(self, shard: ObjectShard) -> "Iterator[Event]":
        report = _Report(shard)
        rows = []
        for uid, sha256 in shard.assets:
            with report.timed("geometry"):
                try:
                    geometry = self._tools.geometry(uid, sha256)
                    yield report.progress()
                except AssetError as error:
                    geometry = failed_geometry(uid, sha256, error.reason)
                    yield report.failed(error)
                rows.append(objects.encode_geometry(geometry))
        yield report.done(write_rows(Root.open(self._work.location), shard, self._work.meta, iter(rows)))


class ViewsMaker:
    """Clean renders; see scenegen.jobs.shard_actors.ShardMaker. Units are views."""

    def __init__(self, work: ToolsWork, threads: int) -> None:
        self._work, self._tools = work, ObjectTools(work, threads)

    def make(self, shard: ObjectShard) -> "Iterator[Event]":
        root, meta = Root.open(self._work.location), self._work.meta
        report, failures = _Report(shard), {}
        reopen(root, shard, meta)
        for uid in good_assets(root, shard):
            if is_spooled(root, shard, meta, uid):
                continue
            try:
                for event in self._tools.spool_views(shard, uid):
                    report.add(event["seconds"])
                    yield report.progress()
            except AssetError as error:
                failures[uid] = error.reason
                yield report.failed(error)
        record_failures(root, shard, failures)
        rows = (row for uid in good_assets(root, shard) for row in spooled_rows(root, shard, meta, uid))
        size = write_rows(root, shard, meta, rows)
        discard_spool(root, shard, meta)
        yield report.done(size)


@dataclass(frozen=True, slots=True)
class NetworkWork:
    """extractor, weights: of the voxel features; None where none are needed. encoders: of the latents table."""

    location: str
    options: ObjectOptions
    meta: StepMeta
    device: str
    extractor: "ExtractorRecord | None" = None
    weights: "Weights | None" = None
    encoders: "EncoderFiles | None" = None


class FeaturesMaker:
    """Image features in the voxels; see scenegen.jobs.shard_actors.ShardMaker. Units are assets."""

    def __init__(self, work: NetworkWork, threads: int) -> None:
        self._work, self._extract = work, _Extract(work)

    def make(self, shard: ObjectShard) -> "Iterator[Event]":
        from scenegen.annotate.objects.projection import voxel_features

        def rows_of(geometry: ObjectGeometry, report: "_Report", dataset: ObjectDataset) -> list[pa.RecordBatch]:
            views = self._extract(dataset, geometry.asset_uid, report)
            with report.timed("project"):
                features = voxel_features(views, geometry.voxels, self._work.options.visibility)
            return [objects.encode_features(features)]

        yield from _each_asset(self._work, shard, rows_of)


class LatentsMaker:
    """Latents of assets as they are and turned; see scenegen.jobs.shard_actors.ShardMaker. Units are assets."""

    def __init__(self, work: NetworkWork, threads: int) -> None:
        from scenegen.annotate.objects.encoders import LatentEncoders

        self._work = work
        self._extract = _Extract(work) if work.extractor else None
        channels = work.extractor.channels if work.extractor else None
        assert work.encoders is not None
        self._encoders = LatentEncoders.load(work.encoders, channels, work.device)

    def make(self, shard: ObjectShard) -> "Iterator[Event]":
        from scenegen.annotate.objects.latents import asset_latents
        from scenegen.annotate.objects.rotations import uniform_rotations
        from scenegen.layout.randomness import AssetStage, rng_for_asset

        options = self._work.options

        def rows_of(geometry: ObjectGeometry, report: "_Report", dataset: ObjectDataset) -> list[pa.RecordBatch]:
            uid, views, features = geometry.asset_uid, None, None
            if self._extract:
                views = self._extract(dataset, uid, report)
                features = dataset.features(uid, options.extractor)
            rotations = uniform_rotations(
                options.rotations, rng_for_asset(options.object_seed, uid, AssetStage.ROTATIONS)
            )
            with report.timed("encode"):
                latents = asset_latents(geometry, self._encoders, rotations, features, views, options.visibility)
            return [objects.encode_latents(one) for one in latents]

        yield from _each_asset(self._work, shard, rows_of)


class _Extract:
    """The extractor, loaded once: reads the feature views of an asset and what the extractor sees in them."""

    def __init__(self, work: NetworkWork) -> None:
        from scenegen.annotate.objects.registry import load_extractor

        assert work.extractor is not None
        self._extractor = load_extractor(work.extractor, work.weights, work.device)

    def __call__(self, dataset: ObjectDataset, uid: str, report: "_Report") -> "FeatureViews":
        from scenegen.annotate.objects.projection import FeatureViews

        with report.timed("read"):
            views = _feature_views(dataset, uid)
        with report.timed("extract"):
            return FeatureViews.of(self._extractor, views)


def _feature_views(dataset: ObjectDataset, uid: str) -> list[ObjectView]:
    return [dataset.view(uid, "feature", index, _IMAGES) for index in range(dataset.num_views(uid, "feature"))]


RowsOf = Callable[[ObjectGeometry, "_Report", ObjectDataset], list[pa.RecordBatch]]


def _each_asset(work: NetworkWork, shard: ObjectShard, rows_of: RowsOf) -> "Iterator[Event]":
    """Make the rows of every good asset of a shard, then write the file."""
    root, report = Root.open(work.location), _Report(shard)
    dataset = ObjectDataset.open(work.location)
    failures: dict[str, str] = {}
    rows: list[pa.RecordBatch] = []
    for geometry in read_geometries(root, shard):
        if geometry.status != "ok":
            continue
        try:
            rows += rows_of(geometry, report, dataset)
            yield report.progress()
        except AssetError as error:
            failures[geometry.asset_uid] = error.reason
            yield report.failed(error)
    record_failures(root, shard, failures)
    yield report.done(write_rows(root, shard, work.meta, iter(rows)))


class _Report:
    """Counts what happened in one shard and says it as events."""

    def __init__(self, shard: ObjectShard) -> None:
        self._shard = shard.shard
        self._units = 0
        self._seconds: Counter[str] = Counter()

    def timed(self, step: str) -> "_Timed":
        return _Timed(self._seconds, step)

    def add(self, seconds: dict[str, float]) -> None:
        self._seconds.update(seconds)

    def progress(self) -> dict[str, Any]:
        self._units += 1
        return {"event": "progress", "shard": self._shard, "units": 1}

    def failed(self, error: AssetError) -> dict[str, Any]:
        return {"event": "failed_asset", "shard": self._shard, "asset": error.uid, "reason": error.reason}

    def done(self, size_bytes: int) -> dict[str, Any]:
        seconds = {name: round(value, 3) for name, value in self._seconds.items()}
        return {
            "event": "done",
            "shard": self._shard,
            "units": self._units,
            "bytes": size_bytes,
            "seconds": seconds,
        }


class _Timed:
    """Adds the wall time inside to one step."""

    def __init__(self, seconds: Counter[str], step: str) -> None:
        self._seconds, self._step = seconds, step

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._step] += time.perf_counter() - self._started
