"""What `scenegen assets prepare` and `notice` need of the job side: a Ray session, signals, a dataset's assets."""

import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from threading import Event

from scenegen.assets.hdris import HdriLibrary
from scenegen.assets.library import AssetLibrary
from scenegen.assets.manifest import AssetRecord
from scenegen.assets.quarantine import Quarantined
from scenegen.assets.sources.raw import RawAsset
from scenegen.config import JobConfig
from scenegen.contract.dataset import Dataset
from scenegen.contract.storage import Root
from scenegen.jobs.cluster import ray_session
from scenegen.jobs.config_file import require_config
from scenegen.jobs.prepare_assets import PrepareJob, Tally, prepare_collection
from scenegen.jobs.signals import stop_on_signal

SAY_EVERY_S = 20.0


def run_prepare(assets: Iterable[RawAsset], job: PrepareJob, ray_address: str, stop: Event) -> Tally:
    """Prepare a collection with Ray until it is done or a signal asks to stop; say how it goes."""
    progress = _Progress()
    with ray_session(JobConfig(ray_address=ray_address or None), stop) as machine, stop_on_signal(stop):
        sized = replace(job, workers=job.workers or max(1, machine.cpus))
        tally = prepare_collection(assets, sized, stop, progress.on_result)
    progress.say(
        f"{tally.prepared} prepared, {tally.quarantined} quarantined, {tally.skipped} were done before"
        + (", interrupted: run the same command again" if tally.interrupted else "")
    )
    for reason, count in tally.reasons.most_common(10):
        progress.say(f"  {count} x {reason}")
    return tally


def records_of_dataset(location: str) -> list[AssetRecord]:
    """The records of the objects and environment maps in a dataset's scenes. Raises SceneGenError if one is unknown."""
    config = require_config(Root.open(location)).config
    library = AssetLibrary.open(replace(config.assets, split="all"))
    maps = HdriLibrary.open(config.assets).records
    known = {**library.records, **maps}
    used: set[str] = set()
    for scene in Dataset.open(location).scenes():
        used |= {placed.asset_uid for placed in scene.objects} | {scene.hdri_uid}
    return [known[uid] for uid in sorted(used) if uid in known]


class _Progress:
    """A line for each refused asset, and one every 20 seconds."""

    def __init__(self) -> None:
        self._started = self._last = time.monotonic()
        self._count = 0

    def on_result(self, result: AssetRecord | Quarantined) -> None:
        self._count += 1
        if isinstance(result, Quarantined):
            self.say(f"quarantined {result.uid}: {result.reason}")
        now = time.monotonic()
        if now - self._last > SAY_EVERY_S:
            self._last = now
            self.say(f"{self._count} assets, {self._count / (now - self._started):.2f} a second")

    def say(self, line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
