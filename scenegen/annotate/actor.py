"""The actor of `scenegen annotate`: it loads one estimator and runs it over shard after shard."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

from scenegen.contract.sidecar import EstimatorMeta
from scenegen.contract.storage import Root
from scenegen.jobs.reporting import Event
from scenegen.shards.sidecars import SidecarFile, write_sidecar

if TYPE_CHECKING:
    from scenegen.annotate.manifest import EstimatorRecord
    from scenegen.annotate.options import EstimatorOptions
    from scenegen.annotate.weights import Weights


@dataclass(frozen=True, slots=True)
class AnnotateWork:
    """What all actors of one run have in common. location: of the dataset."""

    location: str
    record: "EstimatorRecord"
    weights: "Weights | None"
    meta: EstimatorMeta
    options: "EstimatorOptions"


class Annotator:
    """Makes the sidecars of shards with one estimator; see scenegen.jobs.shard_actors.ShardMaker. Units are views."""

    def __init__(self, work: AnnotateWork, threads: int) -> None:
        from scenegen.annotate.registry import load_estimator

        self._work, self._threads = work, threads
        self._estimator = load_estimator(work.record, work.weights, work.options)

    def make(self, file: SidecarFile) -> Iterator[Event]:
        from scenegen.annotate.shard import ShardRun, sidecar_rows

        events: SimpleQueue[int | None] = SimpleQueue()
        root, meta = Root.open(self._work.location), self._work.meta
        run = ShardRun(root, file.views, self._estimator, meta, self._work.options.seed)
        rows = sidecar_rows(run, events.put, max(2, self._threads))
        with ThreadPoolExecutor(1) as pool:
            made = pool.submit(write_sidecar, root, file, meta, rows)
            made.add_done_callback(lambda _: events.put(None))
            while (views := events.get()) is not None:
                yield {"event": "progress", "shard": file.shard, "units": views}
        seconds = {name: round(getattr(run.times, f"{name}_s"), 3) for name in ("read", "predict", "align", "encode")}
        yield {
            "event": "done",
            "shard": file.shard,
            "units": run.times.views,
            "rows": run.times.views,
            "bytes": made.result(),
            "seconds": seconds,
        }
