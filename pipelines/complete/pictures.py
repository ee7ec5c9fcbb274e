"""Opening picture files, whatever is wrong with them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from pipelines.errors import PipelineError

UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises for files that are damaged, of another kind, or larger than any picture."""


def open_picture(path: Path, what: str) -> Image.Image:
    """Decoded, as it is stored. what: the file is for, as "an image". Raises PipelineError."""
    try:
        image = Image.open(path)
        image.load()
    except UNREADABLE as error:
        raise PipelineError(f"{path} cannot be read as {what}: {error}") from error
    return image
