"""What a run over shards reports: events of its actors, lines for people, JSON lines for machines, and how it ended."""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenegen.errors import AssetError
from scenegen.shards.tables import Written

Event = dict[str, Any]
"""What an actor yields while it makes a shard; the keys are listed in scenegen.jobs.shard_actors.ShardMaker."""

_LINE_EVERY_S = 15.0


@dataclass(frozen=True, slots=True)
class RunResult:
    """How the run of a command ended. exit_code: see scenegen.errors. summary: for people."""

    exit_code: int
    summary: str


def say(line: str) -> None:
    """Print a line for people on standard error."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


class ShardReport:
    """Counts what an actor makes of one shard, units and wall seconds by part, and builds its events."""

    def __init__(self, shard: int) -> None:
        self._shard, self._units = shard, 0
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the wall time spent inside to one part."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[part] += time.perf_counter() - started

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add wall time that was measured elsewhere, by part."""
        for part, value in seconds.items():
            self._seconds[part] += value

    def progress(self) -> Event:
        """Count one more unit and give the event of it."""
        self._units += 1
        return {"event": "progress", "shard": self._shard, "units": 1}

    def failed(self, error: AssetError) -> Event:
        """The event of an asset that was left out."""
        return {"event": "failed_asset", "shard": self._shard, "asset": error.uid, "reason": error.reason}

    def done(self, file: Written) -> Event:
        """The last event of a shard. file: what was written, which may hold more rows than were made in this run."""
        seconds = {part: round(value, 3) for part, value in self._seconds.items()}
        totals = {"units": self._units, "rows": file.rows, "bytes": file.bytes, "seconds": seconds}
        return {"event": "done", "shard": self._shard, **totals}


class StepProgress:
    """Counts the units (views, assets, ...) of one step from the events of its actors, and tells how far it is.

    name: of the step. unit: in the plural. log_json: a file to which each event is appended as one JSON object.
    """

    def __init__(self, name: str, unit: str, log_json: Path | None = None) -> None:
        self._name, self._unit, self._log_json = name, unit, log_json
        self._units = 0
        self._started = self._last_line = time.monotonic()

    def say(self, line: str) -> None:
        """Print a line for people about this step."""
        say(f"{self._name}: {line}")

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Log an event, and say what people should know of it: failures at once, progress every few seconds."""
        if self._log_json:
            with self._log_json.open("a") as log:
                log.write(json.dumps({"time": time.time(), "step": self._name, **event}) + "\n")
        kind = event["event"]
        if kind == "failed_shard":
            self.say(f"shard {event['shard']} failed: {event['reason']}")
        elif kind == "failed_asset":
            self.say(f"asset {event['asset']} failed: {event['reason']}")
        elif kind == "progress":
            self._units += event["units"]
            now = time.monotonic()
            if now - self._last_line > _LINE_EVERY_S:
                self._last_line = now
                self.say(f"{self._units} {self._unit}, {self._units / (now - self._started):.3g} {self._unit}/s")

    def summary(self, units: int, row_bytes: float, seconds: Mapping[str, float]) -> str:
        """One line about a finished step: its rate, the milliseconds that each part takes a unit, the bytes of a row.

        units: how many were made. seconds: of each part, summed over the actors.
        """
        elapsed = max(time.monotonic() - self._started, 1e-6)
        steps = ", ".join(f"{name} {1000 * value / max(units, 1):.0f} ms" for name, value in seconds.items())
        return (
            f"{units} {self._unit} in {elapsed:.1f} s ({units / elapsed:.3g} {self._unit}/s; each: {steps}), "
            f"{row_bytes / 1000:.0f} kB a row"
        )
