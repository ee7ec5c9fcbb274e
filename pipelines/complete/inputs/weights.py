"""Which checkpoint and which encoder weights a command was given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from pipelines.errors import UsageError
from pipelines.pretrained import NAME, packaged_checkpoint, packaged_title


def checkpoint_or_packaged(given: str | None, stream: TextIO) -> str | Path:
    """--checkpoint, or the packaged one, which is announced in a line: it must not pass for another system.

    Raises PipelineError if there is no packaged checkpoint.
    """
    if given is not None:
        return given
    checkpoint = packaged_checkpoint()
    stream.write(f"no --checkpoint given: using the packaged {NAME} model, {packaged_title()}\n")
    return checkpoint


def encoder_files(given: Sequence[str]) -> dict[str, str | Path]:
    """The files of --encoder-weights NAME=FILE ... by name. Raises UsageError for other names or forms."""
    pairs = [one.partition("=") for one in given]
    wrong = [name for name, equals, file in pairs if name not in ("dinov2", "moge2") or not equals or not file]
    if wrong:
        raise UsageError(f"--encoder-weights takes dinov2=FILE and moge2=FILE, not {wrong[0]!r}")
    return {name: Path(file) for name, _, file in pairs}
