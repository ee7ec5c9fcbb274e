"""Captures what Blender and Cycles print, at the file descriptors, because they print from C++."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_TROUBLE = re.compile(
    r"(?i)(image file .* does not exist|unable to (find|load|open)|failed to (load|open|read|create|compile)"
    r"|could not (load|open|find)|cannot (load|open|read)|missing (image|texture|file)|shader .*error"
    r"|out of memory|^error\b|\bERROR\b)"
)


class RenderLog:
    """The text that was printed within `captured`."""

    def __init__(self) -> None:
        self.text = ""

    def troubles(self) -> list[str]:
        """Lines that report a missing texture, a shader that did not compile, or another error."""
        return [line.strip() for line in self.text.splitlines() if _TROUBLE.search(line)]


@contextmanager
def captured() -> Iterator[RenderLog]:
    """Capture everything written to the process's stdout and stderr; the text is set when the block ends."""
    log = RenderLog()
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield log
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for fd, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, fd)
                os.close(copy)
            file.seek(0)
            log.text = file.read().decode(errors="replace")
