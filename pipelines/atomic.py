"""Atomic writes: a file or folder is complete or absent, even if the process or the machine is killed meanwhile."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import PipelineError


@contextmanager
def complete_folder(target: Path) -> Iterator[Path]:
    """A temporary folder to fill; at the end of the context it is synced to the disk and renamed to `target`.

    An existing `target` is replaced. What an earlier, killed attempt left is removed. Raises PipelineError if it cannot
    be written.
    """
    partial, replaced = (target.with_name(f".{target.name}.{word}") for word in ("partial", "replaced"))
    try:
        for leftover in (partial, replaced):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        for path in (*partial.rglob("*"), partial):
            _sync(path)
        if target.exists():
            target.rename(replaced)
        partial.rename(target)
        _sync(target.parent)
        shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        raise _cannot_write(target, error) from error


def make_writable(folder: Path) -> None:
    """Make the folder if it does not exist. Raises PipelineError if nothing can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _cannot_write(folder, error) from error


def write_text(target: Path, text: str) -> None:
    """Replace a file's content atomically."""
    partial = target.with_name(f".{target.name}.partial")
    partial.write_text(text)
    _sync(partial)
    partial.replace(target)


def _cannot_write(target: Path, error: OSError) -> PipelineError:
    return PipelineError(
        f"cannot write {target}: {error}. Make room or mend the access, then run the same command again"
    )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
