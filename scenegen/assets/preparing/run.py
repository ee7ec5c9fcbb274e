"""`scenegen assets prepare` from beginning to end: a Ray session, signals, progress, and the summary of the run."""

import time
from collections.abc import Iterable
from dataclasses import replace
from threading import Event

from scenegen.assets.manifest import AssetRecord
from scenegen.assets.preparing.collection import Duplicate, PrepareJob, Tally, prepare_collection
from scenegen.assets.preparing.ledgers import Quarantined
from scenegen.assets.sources.raw import RawAsset
from scenegen.config import JobConfig
from scenegen.jobs.cluster import ray_session
from scenegen.jobs.reporting import say
from scenegen.jobs.signals import stop_on_signal

SAY_EVERY_S = 20.0
MOST_KINDS, MOST_FILES = 10, 3


def run_prepare(assets: Iterable[RawAsset], job: PrepareJob, ray_address: str, stop: Event) -> Tally:
    """Prepare a collection with Ray until it is done or a signal asks to stop; progress goes to standard error."""
    progress = _Progress()
    with ray_session(JobConfig(ray_address=ray_address or None), stop) as machine, stop_on_signal(stop):
        sized = replace(job, workers=job.workers or max(1, machine.cpus))
        tally = prepare_collection(assets, sized, stop, progress.on_result)
    for line in summary(tally):
        say(line)
    return tally


def summary(tally: Tally) -> list[str]:
    """Lines for people: the numbers of a run, which add up to its inputs, and the refused files by kind of fault."""
    parts = {
        "prepared": tally.prepared,
        "refused": tally.refused,
        "duplicates": tally.duplicates,
        "done before": tally.done_before,
    }
    if tally.unfinished:
        parts["not finished"] = tally.unfinished
    sums = " + ".join(f"{count} {name}" for name, count in parts.items())
    lines = [f"{tally.inputs} models = {sums}"]
    if tally.kept_uids:
        lines.append(f"  {tally.kept_uids} keep the uid of an older version, which covered the model file alone")
    kinds = sorted(tally.refused_by_kind.items(), key=lambda kind: -len(kind[1]))
    for reason, files in kinds[:MOST_KINDS]:
        more = f" and {len(files) - MOST_FILES} more" if len(files) > MOST_FILES else ""
        lines.append(f"  {len(files)} x {reason}: {', '.join(files[:MOST_FILES])}{more}")
    if tally.interrupted:
        lines.append("interrupted: run the same command again to go on")
    return lines


class _Progress:
    """Prints a line for each refused model and each duplicate, and a count every 20 seconds."""

    def __init__(self) -> None:
        self._started = self._last = time.monotonic()
        self._count = 0

    def on_result(self, result: AssetRecord | Quarantined | Duplicate) -> None:
        if isinstance(result, Duplicate):
            say(f"duplicate {result.label}: the same as {result.of}")
            return
        self._count += 1
        if isinstance(result, Quarantined):
            say(f"refused {result.shown}: {result.reason} (uid {result.uid})")
        now = time.monotonic()
        if now - self._last > SAY_EVERY_S:
            self._last = now
            say(f"{self._count} assets, {self._count / (now - self._started):.2f} a second")
