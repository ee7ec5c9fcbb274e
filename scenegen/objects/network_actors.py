"""The actors of `scenegen objects` that run networks, for voxel features and latents. They import torch on start."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.objects import ObjectGeometry, ObjectView, StepMeta, encode_features, encode_latents
from scenegen.contract.storage import Root
from scenegen.errors import AssetError
from scenegen.jobs.reporting import Event, ShardReport
from scenegen.objects.options import ObjectOptions
from scenegen.shards.objects import ObjectShard, read_geometries, record_failures, write_rows

if TYPE_CHECKING:
    from scenegen.annotate.weights import Weights
    from scenegen.objects.networks.encoders import EncoderFiles
    from scenegen.objects.networks.manifest import ExtractorRecord
    from scenegen.objects.networks.projection import FeatureViews

_IMAGES = ("rgba", "depth")
_READ_AHEAD = 2  # assets


@dataclass(frozen=True, slots=True)
class NetworkWork:
    """What all actors of one step have in common.

    location: of the tables. extractor, weights: of the voxel features; None where none are needed. encoders: of the
    latents table.
    """

    location: str
    options: ObjectOptions
    meta: StepMeta
    device: str
    extractor: "ExtractorRecord | None" = None
    weights: "Weights | None" = None
    encoders: "EncoderFiles | None" = None


class _NetworkMaker:
    """What both actors share: the extractor is loaded once, and the views of the next assets are read while it runs.

    See scenegen.jobs.shard_actors.ShardMaker; units are assets.
    """

    def __init__(self, work: NetworkWork, threads: int) -> None:
        self._work, self._extractor = work, None
        if work.extractor:
            from scenegen.objects.networks.registry import load_extractor

            self._extractor = load_extractor(work.extractor, work.weights, work.device)

    def make(self, shard: ObjectShard) -> Iterator[Event]:
        root, report = Root.open(self._work.location), ShardReport(shard.shard)
        dataset = ObjectDataset.open(self._work.location)
        failures: dict[str, str] = {}
        rows: list[pa.RecordBatch] = []
        geometries = [geometry for geometry in read_geometries(root, shard) if geometry.status == "ok"]
        for geometry, views in self._with_views(geometries, report):
            try:
                rows += self._rows(geometry, views, dataset, report)
                yield report.progress()
            except AssetError as error:
                failures[geometry.asset_uid] = error.reason
                yield report.failed(error)
        record_failures(root, shard, failures)
        yield report.done(write_rows(root, shard, self._work.meta, iter(rows)))

    def _rows(
        self, geometry: ObjectGeometry, views: "FeatureViews | None", dataset: ObjectDataset, report: ShardReport
    ) -> list[pa.RecordBatch]:
        raise NotImplementedError

    def _with_views(
        self, geometries: Sequence[ObjectGeometry], report: ShardReport
    ) -> "Iterator[tuple[ObjectGeometry, FeatureViews | None]]":
        """Each asset with the extractor's maps of its feature views; None in their place without an extractor."""
        if self._extractor is None:
            yield from ((geometry, None) for geometry in geometries)
            return
        from scenegen.objects.networks.projection import FeatureViews

        dataset = ObjectDataset.open(self._work.location)  # used by the reading thread alone
        with ThreadPoolExecutor(1) as pool:
            reads = deque(geometries)
            ahead: deque[Future[list[ObjectView]]] = deque()
            for geometry in geometries:
                while reads and len(ahead) < _READ_AHEAD:
                    ahead.append(pool.submit(_feature_views, dataset, reads.popleft().asset_uid))
                with report.timed("read"):
                    views = ahead.popleft().result()
                with report.timed("extract"):
                    seen = FeatureViews.of(self._extractor, views)
                yield geometry, seen


class FeaturesMaker(_NetworkMaker):
    """Averages image features into the voxels of each asset."""

    def _rows(
        self, geometry: ObjectGeometry, views: "FeatureViews | None", dataset: ObjectDataset, report: ShardReport
    ) -> list[pa.RecordBatch]:
        from scenegen.objects.networks.projection import voxel_features

        assert views is not None
        with report.timed("project"):
            return [encode_features(voxel_features(views, geometry.voxels, self._work.options.visibility))]


class LatentsMaker(_NetworkMaker):
    """Encodes each asset in its canonical pose and rotated at random."""

    def __init__(self, work: NetworkWork, threads: int) -> None:
        from scenegen.objects.networks.encoders import LatentEncoders

        super().__init__(work, threads)
        assert work.encoders is not None
        self._encoders = LatentEncoders.load(
            work.encoders, work.extractor.channels if work.extractor else None, work.device
        )

    def _rows(
        self, geometry: ObjectGeometry, views: "FeatureViews | None", dataset: ObjectDataset, report: ShardReport
    ) -> list[pa.RecordBatch]:
        from scenegen.layout.randomness import AssetStage, rng_for_asset
        from scenegen.objects.networks.latents import asset_latents
        from scenegen.objects.networks.rotations import uniform_rotations

        options, uid = self._work.options, geometry.asset_uid
        rotations = uniform_rotations(options.rotations, rng_for_asset(options.object_seed, uid, AssetStage.ROTATIONS))
        features = dataset.features(uid, options.extractor) if views else None
        with report.timed("encode"):
            latents = asset_latents(geometry, self._encoders, rotations, features, views, options.visibility)
            return [encode_latents(one) for one in latents]


def _feature_views(dataset: ObjectDataset, uid: str) -> list[ObjectView]:
    return [dataset.view(uid, "feature", index, _IMAGES) for index in range(dataset.num_views(uid, "feature"))]
