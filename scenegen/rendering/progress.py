"""What a run tells: a progress bar at a terminal, lines in a log file, JSON lines for a machine."""

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from tqdm import tqdm

_LINE_EVERY_S = 30.0
_SHOWN_REASONS = 3


class _Terminal:
    """Writes to what `sys.stderr` is at that moment: while Ray runs it is another one (scenegen/jobs/ray_log.py)."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


class Progress:
    """Counts scenes and shows rate, time left, failures and rejected views with their reasons.

    total: scenes of this run, including finished ones. log_json: a file that gets one JSON object for each event.
    """

    def __init__(self, total: int, log_json: Path | None = None, stream: TextIO | None = None) -> None:
        self._total, self._finished = total, 0
        self._stream: Any = stream or _Terminal()
        self._started = self._last_line = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._log = log_json.open("a") if log_json else None
        self._bar = tqdm(total=total, unit="scene", file=self._stream) if self._stream.isatty() else None

    def say(self, line: str) -> None:
        """Print a line for people, above the progress bar if there is one."""
        if self._bar:
            self._bar.write(line, file=self._stream)
        else:
            self._stream.write(line + "\n")
            self._stream.flush()

    def skip(self, scenes: int) -> None:
        """Count the scenes of shards that were finished before."""
        self._finished += scenes
        if self._bar:
            self._bar.initial = self._bar.n = scenes
            self._bar.refresh()

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Take in one event of the engine."""
        kind = event["event"]
        self._counts[kind] += 1
        if self._log:
            self._log.write(json.dumps({"time": time.time(), **event}) + "\n")
            self._log.flush()
        if kind == "failed":
            self._failures[event["reason"]] += 1
            self.say(f"scene {event['scene']} failed: {event['reason']}")
        for uid, reason in event.get("quarantined", ()):
            self.say(f"scene {event['scene']}: asset {uid} left out: {reason}")
        self._rejected.update(event.get("views_rejected", {}))
        if kind == "remake":
            self.say(
                f"shard {event['shard']}: scenes {event['scenes']} in the spool are missing or damaged; made again"
            )
        if kind == "lost_worker":
            self.say(f"shard {event['shard']}: {event['reason']}; what it had not made goes back")
        if kind in ("made", "failed", "kept"):
            self._advance()

    def summary(self) -> str:
        """One line: rate, failures and rejected views by reason."""
        made = self._counts["made"]
        elapsed = max(time.monotonic() - self._started, 1e-6)
        parts = [f"{made} scenes made in {_duration(elapsed)} ({made / elapsed:.3g} scenes/s)"]
        if self._counts["kept"]:
            parts.append(f"{self._counts['kept']} kept from before")
        if self._failures:
            parts.append(f"{sum(self._failures.values())} failed ({_top(self._failures)})")
        if self._rejected:
            parts.append(f"{sum(self._rejected.values())} views refused before rendering ({_top(self._rejected)})")
        return "; ".join(parts)

    def close(self) -> None:
        if self._bar:
            self._bar.close()
        if self._log:
            self._log.close()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _advance(self) -> None:
        done = self._finished + self._counts["made"] + self._counts["failed"] + self._counts["kept"]
        if self._bar:
            self._bar.set_postfix_str(f"failed {sum(self._failures.values())}", refresh=False)
            self._bar.update(1)
            return
        now = time.monotonic()
        if now - self._last_line < _LINE_EVERY_S and done < self._total:
            return
        self._last_line = now
        here = self._counts["made"] + self._counts["failed"]
        rate = here / max(now - self._started, 1e-6)
        left = f", {_duration((self._total - done) / rate)} left" if rate else ""
        failed = f", {sum(self._failures.values())} failed" if self._failures else ""
        self.say(f"{done}/{self._total} scenes, {rate:.3g} scenes/s{left}{failed}")


def _top(counts: Counter[str]) -> str:
    listed = ", ".join(f"{reason}: {count}" for reason, count in counts.most_common(_SHOWN_REASONS))
    return listed + (", ..." if len(counts) > _SHOWN_REASONS else "")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
