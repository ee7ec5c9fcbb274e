"""Reads files and folders that other programs wrote; every error says what was expected and what was found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipelines.errors import PipelineError

_SHOWN = 6  # names in a message


class UnexpectedLayout(PipelineError):
    """A folder or file is not laid out as expected."""


def need(path: Path, what: str) -> Path:
    """The path, if it exists. Otherwise raises UnexpectedLayout with what the nearest existing folder holds."""
    if path.exists():
        return path
    place = next(parent for parent in path.parents if parent.is_dir())
    names = sorted(child.name for child in place.iterdir())
    found = ", ".join(names[:_SHOWN]) + (f", ... ({len(names)} in all)" if len(names) > _SHOWN else "")
    raise UnexpectedLayout(f"{what} is missing: expected {path}; {place} holds {found or 'nothing'}")


def need_key(values: Any, keys: Sequence[str], where: Path) -> Any:
    """The value of the first of `keys` that exists. Otherwise raises UnexpectedLayout with the keys that do."""
    if isinstance(values, dict):
        for key in keys:
            if key in values:
                return values[key]
    found = ", ".join(map(str, list(values)[:_SHOWN])) if isinstance(values, dict) else type(values).__name__
    raise UnexpectedLayout(f"{where} lacks {' or '.join(keys)}; it holds {found}")


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file. Raises UnexpectedLayout if it is missing or no JSON."""
    try:
        return json.loads(need(path, what).read_text())
    except ValueError as error:
        raise UnexpectedLayout(f"{what} {path} is no JSON: {error}") from error


def read_rgb(path: Path) -> np.ndarray:
    """(H, W, 3) uint8; transparent pixels are laid over black."""
    image = Image.open(need(path, "the image"))
    if image.mode != "RGBA":
        return np.asarray(image.convert("RGB"))
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return np.asarray(Image.alpha_composite(black, image).convert("RGB"))


def read_grey(path: Path, what: str) -> np.ndarray:
    """(H, W) integer image of 8 or 16 bits, as stored. Raises UnexpectedLayout for a colour image."""
    values = np.asarray(Image.open(need(path, what)))
    if values.ndim != 2:
        raise UnexpectedLayout(f"{what} {path} must have one channel, found shape {values.shape}")
    return values


def matrix(values: Any, shape: tuple[int, int], where: Path) -> np.ndarray:
    """A float64 matrix. Raises UnexpectedLayout if it is not of that shape, or not finite."""
    found = np.asarray(values, np.float64)
    if found.shape != shape or not np.isfinite(found).all():
        raise UnexpectedLayout(f"{where} must hold a finite {shape[0]}x{shape[1]} matrix, found shape {found.shape}")
    return found
