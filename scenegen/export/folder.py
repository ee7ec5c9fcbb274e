"""The folder of an export: who it belongs to, files that are whole or not there, and what is done already."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scenegen.contract.storage import Root
from scenegen.errors import CannotStoreError, UsageError

CLAIM = "export.json"
PARTS = ".parts"
"""What is known of each finished unit, until the files about all of them are written."""


class ExportFolder:
    """A folder that holds one export and nothing else.

    A unit of work (a scene, or some) is recorded when all of its files are written; a command that was killed goes on
    with the next unit.
    """

    def __init__(self, root: Path) -> None:
        """Use `claim`; or this, in a process of a run that has claimed it."""
        self.root = root
        self._files = Root.open(root)

    @classmethod
    def claim(cls, root: Path, export: dict[str, Any]) -> "ExportFolder":
        """Begin an export, or go on with one of the same `export` (format, data, filters).

        Raises UsageError if the folder holds something else, CannotStoreError if it cannot be written to.
        """
        folder = cls(root)
        if root.exists() and not root.is_dir():
            raise UsageError(f"--out {root} is a file; choose a folder")
        there = folder._read_claim()
        if there is None:
            if root.is_dir() and any(not path.name.startswith(f".{CLAIM}.") for path in root.iterdir()):
                raise UsageError(f"{root} is not empty and holds no export; choose another --out, or empty it")
            folder.write_json(CLAIM, {**export, "finished": False})
            return folder
        changed = sorted(key for key in export if there.get(key) != export[key])
        if changed:
            raise UsageError(
                f"{root} holds another export ({', '.join(changed)} differ); choose another --out, or remove the folder"
            )
        for left in root.rglob(".*.tmp"):
            left.unlink()
        return folder

    @property
    def finished(self) -> dict[str, Any] | None:
        """The claim with what was counted, if the export is complete."""
        claim = self._read_claim()
        return claim if claim and claim["finished"] else None

    def write(self, name: str, content: bytes) -> None:
        """Raises CannotStoreError."""
        self.fill(name, lambda path: path.write_bytes(content))

    def fill(self, name: str, write: Any) -> None:
        """Let `write` fill a temporary file, then put it in place. Raises CannotStoreError."""
        try:
            self._files.write_atomic(name, write)
        except OSError as error:
            raise CannotStoreError(str(self.root), error.strerror or error) from None

    def write_json(self, name: str, content: Any) -> None:
        self.write(name, json.dumps(content, indent=1).encode() + b"\n")

    def is_done(self, unit: int) -> bool:
        return self._part(unit).is_file()

    def record(self, unit: int, part: dict[str, Any]) -> None:
        """Say that all files of a unit are written. part: what the files about all units need of it."""
        self.write(f"{PARTS}/{unit:08d}.json", json.dumps(part).encode())

    def parts(self, units: int) -> Iterator[dict[str, Any]]:
        """What was recorded of every unit, in order."""
        for unit in range(units):
            yield json.loads(self._part(unit).read_bytes())

    def finish(self, counts: dict[str, int]) -> None:
        """Say that all is written."""
        self.write_json(CLAIM, {**(self._read_claim() or {}), **counts, "finished": True})
        self._files.remove_folder(PARTS)

    def remove(self) -> None:
        """Take the export away; the folder was empty or missing when it was claimed."""
        shutil.rmtree(self.root)

    def _part(self, unit: int) -> Path:
        return self.root / PARTS / f"{unit:08d}.json"

    def _read_claim(self) -> dict[str, Any] | None:
        try:
            claim = json.loads((self.root / CLAIM).read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return claim if isinstance(claim, dict) and "finished" in claim else None
