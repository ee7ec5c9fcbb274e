"""What a step over shards tells while it runs: a line now and then for people, JSON lines for machines."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
