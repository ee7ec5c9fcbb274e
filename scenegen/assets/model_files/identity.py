"""The identity of a model: a hash over its content and the content of the files that it refers to, not its place."""

import hashlib
import struct
from pathlib import Path

from scenegen.assets.model_files.references import references

# Written with each prepared asset, so that a store says by which rule its uids were made.
RULE = "file and references"


class Identities:
    """The identities of the models below one folder. A file that several models share is hashed once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._shared: dict[Path, str] = {}

    def of(self, path: Path) -> tuple[str, str]:
        """(identity, sha256 of the model file alone); both are equal if the model refers to no other file.

        Referenced files count with the name as written and with their content. A file that is missing or outside the
        folder counts as missing, so that adding it later gives another identity. Raises nothing: a malformed model
        refers to nothing, and one that cannot be read is identified by its name; it will be refused later.
        """
        try:
            own = file_sha256(path)
        except OSError:
            own = hashlib.sha256(f"unreadable\0{path.relative_to(self._root)}".encode()).hexdigest()
            return own, own
        lines: set[str] = set()
        try:
            for reference in references(path, self._root):
                found = reference.found(self._root)
                if found is not None or reference.certain:
                    digest = "missing" if found is None else self._digest(found)
                    lines.add(f"{reference.what}\0{reference.name}\0{digest}")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error, OSError):
            lines = set()
        if not lines:
            return own, own
        text = "\n".join([RULE, own, *sorted(lines)]).encode("utf-8", "surrogateescape")
        return hashlib.sha256(text).hexdigest(), own

    def _digest(self, path: Path) -> str:
        if path not in self._shared:
            self._shared[path] = file_sha256(path)
        return self._shared[path]


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
