"""Finds the file that a model refers to, although names may come from another system or from another disk."""

import os
import re
import unicodedata
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

# Groups of each: the text before a name, the name, and the text after it.
USD_ASSET = re.compile(rb"(@)([^@\n]+)(@)")
DAE_IMAGE = re.compile(rb"(<init_from>\s*)([^<]+?)(\s*</init_from>)")


def find_file(name: str, folder: Path, root: Path) -> Path | None:
    """The file below `root` that a file in `folder` refers to by `name`, as a resolved path; None if there is none.

    Quotes and backslashes are understood. Upper and lower case may differ where no name fits exactly. If a path leads
    nowhere (because it is one of the author's disk), its longest ending that exists below `folder` is taken.
    """
    parts = PurePosixPath(name.strip().strip('"').replace("\\", "/")).parts
    starts = range(len(parts)) if parts and not parts[0].startswith("/") else range(1, len(parts))
    for start in starts:
        found = _walk(folder, parts[start:], root.resolve())
        if found is not None:
            return found
    return None


def with_full_paths(text: bytes, names: re.Pattern[bytes], folder: Path, root: Path, uris: bool) -> bytes:
    """The text with each name replaced by the full path of the file that it refers to, if that exists.

    uris: whether names are percent-encoded.
    """

    def replaced(match: re.Match[bytes]) -> bytes:
        name = match[2].decode("utf-8", "replace")
        found = find_file(unquote(name).removeprefix("file:") if uris else name, folder, root)
        return match[0] if found is None else match[1] + (quote(str(found)) if uris else str(found)).encode() + match[3]

    return names.sub(replaced, text)


def _walk(folder: Path, parts: tuple[str, ...], root: Path) -> Path | None:
    here = folder.resolve()
    for part in parts:
        found = here.parent if part == ".." else _child(here, part)
        if found is None or not found.is_relative_to(root):
            return None
        here = found
    return here if here.is_file() else None


def _child(folder: Path, name: str) -> Path | None:
    """The entry of that name, or else one that differs only in case; symbolic links are followed."""
    try:
        if (folder / name).exists():
            return (folder / name).resolve()
        same = sorted(entry.name for entry in os.scandir(folder) if _plain(entry.name) == _plain(name))
    except (OSError, ValueError):  # no folder, a name too long, a zero byte in it
        return None
    return (folder / same[0]).resolve() if same else None


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
