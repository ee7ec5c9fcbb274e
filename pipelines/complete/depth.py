"""Depth of an image from a file.

Shapes: H W image.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from pipelines.complete.pictures import open_picture
from pipelines.errors import PipelineError, UsageError

EXR_CHANNELS = ("Z", "Y", "V", "R", "depth.Z", "Depth.V")


def read_depth(path: Path, size_px: tuple[int, int], unit_m: float) -> np.ndarray:
    """(H, W) float32 planar depth of the image's size, NaN where it is unknown (zero, negative or not finite).

    path: .npy; .npz with `depth` or one array alone; .exr; .png of 16 bit. unit_m: what a value of 1 means in metres.
    A map of another size but the same shape is resized by nearest pixels. Raises PipelineError or UsageError.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"depth is read from {', '.join(sorted(_READERS))}, not from {path.name}")
    try:
        values = np.squeeze(reader(path)).astype(np.float64) * unit_m
    except (OSError, ValueError, KeyError, SyntaxError, TokenError) as error:  # the last of a header of NumPy's
        raise PipelineError(f"{path} cannot be read as a depth map: {error}") from error
    if values.ndim != 2:
        raise PipelineError(f"{path} holds an array of shape {values.shape}, not one depth a pixel")
    depth = np.where(np.isfinite(values) & (values > 0), values, np.nan).astype(np.float32)
    return _resized(depth, size_px, path)


def _resized(depth: np.ndarray, size_px: tuple[int, int], path: Path) -> np.ndarray:
    (height, width), (to_width, to_height) = depth.shape, size_px
    if abs(width * to_height - height * to_width) > max(width * to_height, height * to_width) * 0.01:
        raise UsageError(f"{path} is {width}x{height} px and the image {to_width}x{to_height}: their shapes differ")
    rows = ((np.arange(to_height) + 0.5) * height / to_height).astype(int)
    columns = ((np.arange(to_width) + 0.5) * width / to_width).astype(int)
    return depth[rows][:, columns]


def _read_npz(path: Path) -> np.ndarray:
    with np.load(path) as file:
        if "depth" not in file.files and len(file.files) != 1:
            raise KeyError(f"no array is called depth; there are {file.files}")
        return np.asarray(file["depth"] if "depth" in file.files else file[file.files[0]])


def _read_png(path: Path) -> np.ndarray:
    image = open_picture(path, "a depth map")
    if image.mode not in ("I;16", "I;16B", "I"):
        raise ValueError(f"it is an image of mode {image.mode}; depth needs 16 bit grey")
    return np.asarray(image)


def _read_exr(path: Path) -> np.ndarray:
    try:
        import OpenEXR  # optional: pip install OpenEXR
    except ImportError as error:
        raise PipelineError("reading EXR needs OpenEXR: pip install OpenEXR; or save the depth as .npy") from error
    channels: dict[str, Any] = OpenEXR.File(str(path), separate_channels=True).channels()
    name = next((name for name in EXR_CHANNELS if name in channels), None)
    if name is None and len(channels) != 1:
        raise KeyError(f"which channel is depth? There are {sorted(channels)}")
    return np.asarray(channels[name or next(iter(channels))].pixels)


_READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".npy": np.load,
    ".npz": _read_npz,
    ".exr": _read_exr,
    ".png": _read_png,
}
