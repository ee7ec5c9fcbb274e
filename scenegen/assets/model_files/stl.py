"""STL files: which of the two formats, how many triangles, and the bytes that every reader takes."""

import struct
from pathlib import Path

HEAD, TRIANGLE = 84, 50


def binary_count(path: Path) -> int | None:
    """Triangles of a binary file, by its size: the header may begin with the text format's word, or a tail follow.

    None for text, and for a file that is cut short.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    if len(head) < HEAD:
        return None
    (count,) = struct.unpack_from("<I", head, HEAD - 4)
    tail = path.stat().st_size - HEAD - TRIANGLE * count
    return count if 0 <= tail < TRIANGLE else None


def settled(path: Path) -> bytes | None:
    """The file without its tail, or its text in small letters; None where it may be read as it is."""
    count = binary_count(path)
    if count is None:
        with path.open("rb") as file:
            plain = file.read(len(b"solid")) == b"solid"
        return None if plain else path.read_bytes().lstrip().lower()
    size = HEAD + TRIANGLE * count
    return None if path.stat().st_size == size else path.read_bytes()[:size]
