"""The two ledgers of a store, with one appended JSON line for each asset: what it holds, and what was refused and why.

A line about a prepared asset is its record with two more entries: `made_from`, the file by the name that the user
knows, and `identity`, the rule by which its uid was made. Older ledgers lack both; their uids are hashes of the model
file alone.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from scenegen.assets.manifest import AssetRecord
from scenegen.assets.model_files.identity import RULE

PREPARED, QUARANTINE = "prepared.jsonl", "quarantine.jsonl"


@dataclass(frozen=True, slots=True)
class Prepared:
    """One asset that a store holds. made_from, identity: "" in older ledgers."""

    record: AssetRecord
    made_from: str = ""
    identity: str = RULE


def append_prepared(store: Path, entry: Prepared) -> None:
    """Add a line to the store's ledger of prepared assets."""
    line = {**asdict(entry.record), "made_from": entry.made_from, "identity": entry.identity}
    append_line(store / PREPARED, json.dumps(line, ensure_ascii=False))


def read_prepared(store: Path) -> dict[str, Prepared]:
    """uid -> entry of the assets whose file is still there with its size. A truncated line is ignored."""
    found = {}
    for entry in _prepared_lines(store / PREPARED):
        file = store / entry.record.file
        if file.is_file() and file.stat().st_size == entry.record.bytes:
            found[entry.record.uid] = entry
    return found


def raw_files(store: Path) -> dict[str, str]:
    """uid -> the file that the asset was made from, if the ledger says it."""
    return {entry.record.uid: entry.made_from for entry in _prepared_lines(store / PREPARED) if entry.made_from}


def _prepared_lines(path: Path) -> Iterator[Prepared]:
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            raw = json.loads(line)
            made_from, identity = raw.pop("made_from", ""), raw.pop("identity", "")
            yield Prepared(AssetRecord(**{**raw, "extents": tuple(raw["extents"])}), made_from, identity)
        except (json.JSONDecodeError, TypeError, KeyError, AttributeError):
            continue


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One asset that cannot be used.

    path: its file on the machine that tried, or the zip it lies in. reason: one line that names what is wrong with it.
    label: the file by the name that the user knows; ledgers of older versions lack it.
    """

    uid: str
    source: str
    path: str
    reason: str
    label: str = ""

    @property
    def shown(self) -> str:
        """Its name in messages."""
        return self.label or self.path


def append_quarantined(ledger: Path, entry: Quarantined) -> None:
    """Add a line to a ledger of refused assets."""
    append_line(ledger, json.dumps(asdict(entry), ensure_ascii=False))


def append_line(path: Path, line: str) -> None:
    """Append with a single write, so that a line is there whole or not at all, even with several writers."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode() + b"\n")
    finally:
        os.close(descriptor)


def read_quarantined(ledger: Path) -> dict[str, Quarantined]:
    """uid -> entry. A last line that a crash has truncated is ignored; its asset is then tried again."""
    entries = {}
    for line in ledger.read_text().splitlines() if ledger.is_file() else ():
        try:
            entry = Quarantined(**json.loads(line))
        except (json.JSONDecodeError, TypeError):
            continue
        entries[entry.uid] = entry
    return entries
