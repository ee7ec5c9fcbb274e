"""The ledger of what a store holds: one JSON line a prepared asset, with the file that it was made from.

A line is the asset's record and two facts more: `made_from`, the file as the user knows it, and `identity`, the rule by
which its uid was made. Ledgers of older versions lack both; their uids cover the model file alone.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from scenegen.assets.identity import RULE
from scenegen.assets.manifest import AssetRecord
from scenegen.assets.quarantine import append_line

LEDGER = "prepared.jsonl"


@dataclass(frozen=True, slots=True)
class Prepared:
    """One line of the ledger. made_from: "" in older ledgers. identity: the rule of the uid, "" for the older one."""

    record: AssetRecord
    made_from: str = ""
    identity: str = RULE


def append_prepared(store: Path, entry: Prepared) -> None:
    line = {**asdict(entry.record), "made_from": entry.made_from, "identity": entry.identity}
    append_line(store / LEDGER, json.dumps(line, ensure_ascii=False))


def read_prepared(store: Path) -> dict[str, Prepared]:
    """uid -> line, of the assets whose file is still there with its size. A line cut short is ignored."""
    found = {}
    for entry in _lines(store / LEDGER):
        file = store / entry.record.file
        if file.is_file() and file.stat().st_size == entry.record.bytes:
            found[entry.record.uid] = entry
    return found


def raw_files(store: Path) -> dict[str, str]:
    """uid -> the file that it was made from, where the ledger says so."""
    return {entry.record.uid: entry.made_from for entry in _lines(store / LEDGER) if entry.made_from}


def _lines(path: Path) -> Iterator[Prepared]:
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            raw = json.loads(line)
            made_from, identity = raw.pop("made_from", ""), raw.pop("identity", "")
            yield Prepared(AssetRecord(**{**raw, "extents": tuple(raw["extents"])}), made_from, identity)
        except (json.JSONDecodeError, TypeError, KeyError, AttributeError):
            continue
