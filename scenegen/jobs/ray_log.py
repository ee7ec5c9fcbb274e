"""Sends what Ray prints to a file instead of the terminal; messages name the file when it matters."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class RayLog:
    """path: the file. It is removed at the end unless `keep` was called."""

    path: Path
    kept: bool = False

    def keep(self) -> None:
        self.kept = True


@contextmanager
def ray_log() -> Iterator[RayLog]:
    """Within the block, standard output and what native code writes to standard error go into the file.

    `sys.stderr` still reaches the terminal, through a descriptor of its own.
    """
    descriptor, name = tempfile.mkstemp(prefix="scenegen-ray-", suffix=".log")
    log, terminal, before = RayLog(Path(name)), os.dup(2), sys.stderr
    before.flush()
    os.dup2(descriptor, 2)
    if _descriptor(before) == 2:
        sys.stderr = os.fdopen(os.dup(terminal), "w", buffering=1, errors="backslashreplace")
    try:
        with os.fdopen(descriptor, "w", buffering=1) as file, contextlib.redirect_stdout(file):
            yield log
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        sys.stderr = before
        if not log.kept:
            log.path.unlink(missing_ok=True)


def _descriptor(stream: object) -> int:
    try:
        return stream.fileno()  # type: ignore[attr-defined]
    except (AttributeError, OSError):  # not a file, as in tests
        return -1
