"""The actors of `scenegen objects` that work on files and with Blender: geometry, and clean renders.

An asset that cannot be used is recorded as failed in the objects table, with the reason, and the others go on.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenegen.contract.objects import encode_geometry
from scenegen.contract.storage import Root
from scenegen.errors import AssetError
from scenegen.jobs.reporting import ShardReport
from scenegen.objects.asset_process import AssetProcess, AssetWork
from scenegen.shards.object_spool import discard_spool, is_spooled, reopen, spooled_rows
from scenegen.shards.objects import ObjectShard, failed_geometry, good_assets, record_failures, write_rows

if TYPE_CHECKING:
    from scenegen.jobs.shard_actors import Event

_GEOMETRY_MEMORY_BYTES = 12 << 30


class GeometryMaker:
    """Meshes and voxels; see scenegen.jobs.shard_actors.ShardMaker. Units are assets."""

    def __init__(self, work: AssetWork, threads: int) -> None:
        self._work, self._tools = work, AssetProcess(work, threads, _GEOMETRY_MEMORY_BYTES)

    def make(self, shard: ObjectShard) -> "Iterator[Event]":
        report, rows = ShardReport(shard.shard), []
        for uid, sha256 in shard.assets:
            with report.timed("geometry"):
                try:
                    geometry = self._tools.geometry(uid, sha256)
                    yield report.progress()
                except AssetError as error:
                    geometry = failed_geometry(uid, sha256, error.reason)
                    yield report.failed(error)
                rows.append(encode_geometry(geometry))
        yield report.done(write_rows(Root.open(self._work.location), shard, self._work.meta, iter(rows)))


class ViewsMaker:
    """Clean renders; see scenegen.jobs.shard_actors.ShardMaker. Units are views."""

    def __init__(self, work: AssetWork, threads: int) -> None:
        # No limit of memory: CUDA reserves more than it uses.
        self._work, self._tools = work, AssetProcess(work, threads)

    def make(self, shard: ObjectShard) -> "Iterator[Event]":
        root, meta = Root.open(self._work.location), self._work.meta
        report, failures = ShardReport(shard.shard), {}
        reopen(root, shard, meta)
        for uid in good_assets(root, shard):
            if is_spooled(root, shard, meta, uid):
                continue
            try:
                for seconds in self._tools.spool_views(shard, uid):
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
        """End the process that renders; an actor's dies with it."""
        self._tools.close()
