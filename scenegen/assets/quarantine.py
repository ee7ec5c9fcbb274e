"""Assets that cannot be used, and why: one JSON line each, appended, so that nobody tries them twice."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

QUARANTINE = "quarantine.jsonl"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One asset that cannot be used.

    path: its file on the machine that tried, or the zip it lies in. reason: one line that names what is wrong with it.
    label: the file as its collection's user knows it; ledgers of older versions lack it.
    """

    uid: str
    source: str
    path: str
    reason: str
    label: str = ""

    @property
    def shown(self) -> str:
        """What to call it in a message."""
        return self.label or self.path


def append_quarantined(ledger: Path, entry: Quarantined) -> None:
    append_line(ledger, json.dumps(asdict(entry), ensure_ascii=False))


def append_line(path: Path, line: str) -> None:
    """One write in append mode: a line is there whole or not at all, also with several writers."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode() + b"\n")
    finally:
        os.close(descriptor)


def read_quarantined(ledger: Path) -> dict[str, Quarantined]:
    """uid -> entry. A last line cut short by a crash is ignored; the asset is simply tried again."""
    entries = {}
    for line in ledger.read_text().splitlines() if ledger.is_file() else ():
        try:
            entry = Quarantined(**json.loads(line))
        except (json.JSONDecodeError, TypeError):
            continue
        entries[entry.uid] = entry
    return entries
