"""What a maker of shards counts, and the events that it says; see scenegen.jobs.shard_actors.ShardMaker."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scenegen.errors import AssetError
from scenegen.shards.tables import Written

if TYPE_CHECKING:
    from scenegen.jobs.shard_actors import Event


class ShardReport:
    """Counts of one shard: units made, and wall seconds by part."""

    def __init__(self, shard: int) -> None:
        self._shard, self._units = shard, 0
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Adds the wall time inside to one part."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[part] += time.perf_counter() - started

    def add(self, seconds: Mapping[str, float]) -> None:
        """Time that was measured elsewhere, by part."""
        for part, value in seconds.items():
            self._seconds[part] += value

    def progress(self) -> "Event":
        """One more unit is made."""
        self._units += 1
        return {"event": "progress", "shard": self._shard, "units": 1}

    def failed(self, error: AssetError) -> "Event":
        return {"event": "failed_asset", "shard": self._shard, "asset": error.uid, "reason": error.reason}

    def done(self, file: Written) -> "Event":
        """The file is written; it may hold more than was made now."""
        seconds = {part: round(value, 3) for part, value in self._seconds.items()}
        totals = {"units": self._units, "rows": file.rows, "bytes": file.bytes, "seconds": seconds}
        return {"event": "done", "shard": self._shard, **totals}
