"""STL files: binary or text, how many triangles, and a form that every reader understands."""

import struct
from pathlib import Path

HEAD, TRIANGLE = 84, 50


def binary_count(path: Path) -> int | None:
    """The number of triangles of a binary file; None for text, and for a file that is cut short.

    Decided by the file's size: a binary header may begin with the text format's "solid", and extra bytes may follow.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    if len(head) < HEAD:
        return None
    (count,) = struct.unpack_from("<I", head, HEAD - 4)
    tail = path.stat().st_size - HEAD - TRIANGLE * count
    return count if 0 <= tail < TRIANGLE else None


def importable(path: Path) -> bytes | None:
    """The bytes to import instead: without extra ones, or text in lower case; None if the file can be read as it is."""
    count = binary_count(path)
    if count is None:
        with path.open("rb") as file:
            plain = file.read(len(b"solid")) == b"solid"
        return None if plain else path.read_bytes().lstrip().lower()
    size = HEAD + TRIANGLE * count
    return None if path.stat().st_size == size else path.read_bytes()[:size]
