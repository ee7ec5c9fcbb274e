"""Why a sample cannot be made from its row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from pipelines.errors import PipelineError


class BadRowError(PipelineError):
    """A row cannot be read or breaks the contract: the data are damaged. The message names the row and the cause."""


class Rejected(Exception):
    """A sound row gives no sample with this seed, for example because its object is larger than the cube.

    This is expected, known only after reading the row, and answered by another sample. reason: one of a few short
    phrases, by which rejections are counted.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@contextmanager
def row(place: str) -> Iterator[None]:
    """A context that turns whatever reading and decoding may raise into a BadRowError that names the place."""
    try:
        yield
    except (OSError, ValueError, KeyError, IndexError, TypeError, pa.ArrowException) as error:
        cause = f"{type(error).__name__}: {error}"
        raise BadRowError(
            f"{place} cannot be used ({cause}). Check the data with: scenegen verify; or train on without such rows "
            "with --bad-rows replace"
        ) from error
