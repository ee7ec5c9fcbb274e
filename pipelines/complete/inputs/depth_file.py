"""A depth map from a file.

Shapes: H W image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from pipelines.complete.inputs.depth_units import is_known, unit_of
from pipelines.complete.inputs.pictures import GREY_16, open_picture
from pipelines.complete.inputs.resize import resized
from pipelines.errors import PipelineError, UsageError

STORE_IT = "store it as .npy in metres or as a 16-bit grey .png in millimetres"
EXR_CHANNELS = ("z", "depth.z", "depth.v", "depth.y", "depth", "v", "y")  # ends of names, the most likely first


@dataclass(frozen=True)
class DepthMap:
    """depth_HW: (H, W) float32, metres, NaN where it is unknown. unit_m: metres of a value of 1 in the file.

    assumed: what was assumed about the unit, a sentence for the user; empty if the unit was given.
    """

    depth_HW: np.ndarray
    unit_m: float
    assumed: str


def read_depth(path: Path, size_px: tuple[int, int], unit_m: float | None = None) -> DepthMap:
    """Depth in the size of the image. It is planar or along the ray, as in the file; `planar` converts the latter.

    path: .npy; .npz with `depth` or a single array; .exr; .png, .tiff or .pfm with 16 bits or floats.
    size_px: (width, height) of the image. A map of another size but the same aspect ratio is resized by nearest pixels.
    unit_m: metres of a value of 1; None to decide it from the values.
    Raises UnknownUnit if the unit cannot be decided or is implausible, else PipelineError or UsageError.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"depth is read from {', '.join(sorted(_READERS))}, not from {path.name}; {STORE_IT}")
    try:
        values = np.squeeze(reader(path))
        if values.ndim != 2 or values.dtype.kind not in "iuf":
            raise PipelineError(f"{path} holds an array of shape {values.shape}, not one depth a pixel")
        if values.dtype.itemsize == 1:
            raise PipelineError(f"{path} has 8 bit a pixel, which are a picture of depth and no depth; {STORE_IT}")
    except (OSError, ValueError, KeyError, SyntaxError, TokenError) as error:  # TokenError: a broken header of a .npy
        raise PipelineError(f"{path} cannot be read as a depth map: {error}") from error
    unit = unit_of(values, unit_m)
    depth = np.where(is_known(values), values.astype(np.float64) * unit.metres, np.nan).astype(np.float32)
    return DepthMap(resized(depth, size_px, path), unit.metres, unit.assumed)


def planar(distance_HW: np.ndarray, K_px: np.ndarray) -> np.ndarray:
    """(H, W) float32 depth along the optical axis, from the distance along the ray through the centre of each pixel."""
    height, width = distance_HW.shape
    x = (np.arange(width) + 0.5 - K_px[0, 2]) / K_px[0, 0]
    y = (np.arange(height) + 0.5 - K_px[1, 2]) / K_px[1, 1]
    return (distance_HW / np.sqrt(1 + x**2 + y[:, None] ** 2)).astype(np.float32)


def _read_npy(path: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(path))
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise PipelineError(
            f"{path} holds Python objects, which are not read; store the array of depth alone"
        ) from error


def _read_npz(path: Path) -> np.ndarray:
    with np.load(path) as file:
        if "depth" not in file.files and len(file.files) != 1:
            raise ValueError(f"no array of it is called depth; it has {', '.join(file.files)}")
        return np.asarray(file["depth"] if "depth" in file.files else file[file.files[0]])


def _read_picture(path: Path) -> np.ndarray:
    image = open_picture(path, "a depth map")
    if image.mode not in (*GREY_16, "I", "F"):
        kind = "colours" if image.mode in ("RGB", "RGBA", "P") else "8 bit a pixel"
        raise PipelineError(f"{path} has {kind}, which are a picture of depth and no depth; {STORE_IT}")
    return np.asarray(image)


def _read_exr(path: Path) -> np.ndarray:
    try:
        import OpenEXR  # optional: pip install OpenEXR
    except ImportError as error:
        raise PipelineError("reading EXR needs OpenEXR: pip install OpenEXR; or save the depth as .npy") from error
    channels: dict[str, Any] = OpenEXR.File(str(path), separate_channels=True).channels()
    return _depth_of({name: np.asarray(channel.pixels) for name, channel in channels.items()})


def _depth_of(channels: dict[str, np.ndarray]) -> np.ndarray:
    """The channel with depth: the only one, the one named so (Blender's "ViewLayer.Depth.Z"), or one of three equal.

    Raises ValueError.
    """
    if len(channels) == 1:
        return next(iter(channels.values()))
    by_end = {".".join(name.lower().split(".")[-2:]): values for name, values in channels.items()}
    found = next((by_end[end] for end in EXR_CHANNELS if end in by_end), None)
    if found is not None:
        return found
    if {"r", "g", "b"} <= by_end.keys():
        if all(np.array_equal(by_end["r"], by_end[one], equal_nan=True) for one in "gb"):
            return by_end["r"]
        raise ValueError("its R, G and B differ, as those of points, normals and pictures do")
    raise ValueError(f"which channel is depth? It has {', '.join(sorted(channels))}; call one Z")


_READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".exr": _read_exr,
    ".png": _read_picture,
    ".tif": _read_picture,
    ".tiff": _read_picture,
    ".pfm": _read_picture,
}
