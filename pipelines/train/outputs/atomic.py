"""Files and folders that are there complete, or not at all, whatever kills the process or the machine."""

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
    """A folder to fill; at the end it is synced to the disk and takes the place of `target`.

    A `target` that exists is replaced. What an earlier, killed attempt left is removed. Raises PipelineError if the
    disk does not take it.
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
    """Make a folder, if it is not there. Raises PipelineError if it cannot be written into."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _cannot_write(folder, error) from error


def write_text(target: Path, text: str) -> None:
    """Replace a file's content at once."""
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
