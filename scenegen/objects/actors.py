"""The actors of `scenegen objects` that run no network: geometry, and clean renders with Blender.

An asset that cannot be used is recorded as failed in the objects table, with the reason; the others continue.
"""

from collections.abc import Iterator

from scenegen.contract.objects import encode_geometry
from scenegen.contract.storage import Root
from scenegen.errors import AssetError
from scenegen.jobs.reporting import Event, ShardReport
from scenegen.objects.asset_process import AssetProcess, AssetWork
from scenegen.shards.object_spool import discard_spool, is_spooled, reopen, spooled_rows
from scenegen.shards.objects import ObjectShard, failed_geometry, good_assets, record_failures, write_rows

_GEOMETRY_MEMORY_BYTES = 12 << 30


class GeometryMaker:
    """Makes the meshes and voxels of a shard's assets; see scenegen.jobs.shard_actors.ShardMaker. Units are assets."""

    def __init__(self, work: AssetWork, threads: int) -> None:
        self._work, self._process = work, AssetProcess(work, threads, _GEOMETRY_MEMORY_BYTES)

    def make(self, shard: ObjectShard) -> Iterator[Event]:
        report, rows = ShardReport(shard.shard), []
        for uid, sha256 in shard.assets:
            with report.timed("geometry"):
                try:
                    geometry = self._process.geometry(uid, sha256)
                    yield report.progress()
                except AssetError as error:
                    geometry = failed_geometry(uid, sha256, error.reason)
                    yield report.failed(error)
                rows.append(encode_geometry(geometry))
        yield report.done(write_rows(Root.open(self._work.location), shard, self._work.meta, iter(rows)))


class ViewsMaker:
    """Makes the clean renders of a shard's assets; see scenegen.jobs.shard_actors.ShardMaker. Units are views."""

    def __init__(self, work: AssetWork, threads: int) -> None:
        # No memory limit: CUDA reserves more than it uses.
        self._work, self._process = work, AssetProcess(work, threads)

    def make(self, shard: ObjectShard) -> Iterator[Event]:
        root, meta = Root.open(self._work.location), self._work.meta
        report, failures = ShardReport(shard.shard), {}
        reopen(root, shard, meta)
        for uid in good_assets(root, shard):
            if is_spooled(root, shard, meta, uid):
                continue
            try:
                for seconds in self._process.spool_views(shard, uid):
                    report.add(seconds)
                    yield report.progress()
            except AssetError as error:
                failures[uid] = error.reason
                yield report.failed(error)
        record_failures(root, shard, failures)
        rows = (row for uid in good_assets(root, shard) for row in spooled_rows(root, shard, meta, uid))
        written = write_rows(root, shard, meta, rows)
        discard_spool(root, shard, meta)
        yield report.done(written)

    def close(self) -> None:
        """End the child process that renders; that of an actor dies with the actor."""
        self._process.close()
