"""What can be wrong with a sample."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from pipelines.errors import PipelineError


class BadRowError(PipelineError):
    """A row that cannot be read or does not keep its promises: the data are damaged. Names the row and the cause."""


class Rejected(Exception):
    """A sound row that gives no sample with this seed, such as an object that is larger than its cube.

    Expected, known only once the row is read, and answered by another sample. reason: one of a few short names.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@contextmanager
def row(place: str) -> Iterator[None]:
    """What reading and decoding may raise becomes a BadRowError that names the place."""
    try:
        yield
    except (OSError, ValueError, KeyError, IndexError, TypeError, pa.ArrowException) as error:
        cause = f"{type(error).__name__}: {error}"
        raise BadRowError(
            f"{place} cannot be used ({cause}). Check the data with: scenegen verify; or train on without such rows "
            "with --bad-rows replace"
        ) from error
