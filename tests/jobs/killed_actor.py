"""An actor of `scenegen.jobs.shard_actors` whose child is killed as it starts; Ray imports it by name."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scenegen.jobs.restarts import WorkerKilledError


@dataclass(frozen=True)
class Piece:
    shard: int


class KilledOnce:
    """Makes shards of nothing; the processes of its first one are killed as they start."""

    def __init__(self, marks: str, threads: int) -> None:
        self._mark = Path(marks) / "killed"

    def make(self, piece: Piece) -> Iterator[dict]:
        if not self._mark.exists():
            self._mark.touch()
            raise WorkerKilledError("killed")
        yield {"event": "done", "shard": piece.shard, "units": 1, "rows": 1, "bytes": 1, "seconds": {}}
