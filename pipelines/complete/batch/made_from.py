"""What a picture's result was made from, so that the same command again knows which pictures are finished."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import UsageError

_HEX_DIGITS = 16
_END_BYTES = 1 << 16  # of a file of weights: training changes all of them, and there may be gigabytes


@dataclass(frozen=True)
class MadeFrom:
    """settings: options that decide the result, by name. files: the digest of each file, by what it is."""

    settings: Mapping[str, Any]
    files: Mapping[str, str]

    @classmethod
    def of(cls, settings: Mapping[str, Any], files: Mapping[str, str]) -> MadeFrom:
        """As it will be read back: tuples become lists."""
        return cls(json.loads(json.dumps(settings)), dict(files))

    def differences(self, other: MadeFrom) -> list[str]:
        """In words, from this to the other; empty if they are equal."""
        names = sorted(self.settings.keys() | other.settings.keys())
        pairs = [(name, self.settings.get(name), other.settings.get(name)) for name in names]
        changed = [f"{name}: {json.dumps(old)} -> {json.dumps(new)}" for name, old, new in pairs if old != new]
        roles = sorted(self.files.keys() | other.files.keys())
        return changed + [f"another {role} file" for role in roles if self.files.get(role) != other.files.get(role)]


def read_made_from(report: Path) -> MadeFrom:
    """From the report of a picture. Raises UsageError for a file that --batch has not written."""
    try:
        stored = json.loads(report.read_text())["inputs"]["made_from"]
        return MadeFrom(**stored)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{report.parent} is there, and not a result of --batch; choose another --out, or move it away"
        ) from error


def content_digest(path: Path) -> str:
    """Of a file, or of all files in a folder with their names."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(b"" if file == path else file.relative_to(path).as_posix().encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:_HEX_DIGITS]


def checkpoint_digest(source: str | Path) -> str:
    """Of a folder, by its pipeline.json and by size and end of each file; a name on the hub as it is."""
    folder = Path(source)
    if not folder.is_dir():
        return str(source)
    digest = hashlib.sha256((folder / "pipeline.json").read_bytes() if (folder / "pipeline.json").is_file() else b"")
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(folder).as_posix()} {size}".encode())
        with file.open("rb") as stream:
            stream.seek(max(0, size - _END_BYTES))
            digest.update(stream.read())
    return digest.hexdigest()[:_HEX_DIGITS]
