"""What a step over shards tells while it runs: a line now and then for people, JSON lines for machines."""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenegen.errors import AssetError
from scenegen.shards.tables import Written

if TYPE_CHECKING:
    from scenegen.jobs.shard_actors import Event

_LINE_EVERY_S = 15.0


class StepProgress:
    """Counts the units (views, assets, ...) of one step; see scenegen.jobs.shard_actors for its events.

    name: of the step. unit: in the plural. log_json: a file that gets one JSON object an event.
    """

    def __init__(self, name: str, unit: str, log_json: Path | None = None) -> None:
        self._name, self._unit, self._log_json = name, unit, log_json
        self._units = 0
        self._started = self._last_line = time.monotonic()

    def say(self, line: str) -> None:
        """A line for people about this step."""
        say(f"{self._name}: {line}")

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Take in one event."""
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
        """Rate, and the seconds of each part of one unit, of what was made since the beginning; bytes of a row."""
        elapsed = max(time.monotonic() - self._started, 1e-6)
        steps = ", ".join(f"{name} {1000 * value / max(units, 1):.0f} ms" for name, value in seconds.items())
        return (
            f"{units} {self._unit} in {elapsed:.1f} s ({units / elapsed:.3g} {self._unit}/s; each: {steps}), "
            f"{row_bytes / 1000:.0f} kB a row"
        )


def say(line: str) -> None:
    """A line for people."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@dataclass(frozen=True, slots=True)
class RunResult:
    """exit_code: see scenegen.errors. summary: for people."""

    exit_code: int
    summary: str


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
