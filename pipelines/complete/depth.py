"""Depth of an image: from a file, or by MoGe-2 with given weights.

Shapes: H W image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from models.moge import Moge
from models.point_map_camera import metric_geometry
from pipelines.complete.computer import Computer
from pipelines.complete.view import Camera
from pipelines.errors import PipelineError, UsageError

EXR_CHANNELS = ("Z", "Y", "V", "R", "depth.Z", "Depth.V")


@dataclass(frozen=True)
class EstimatedDepth:
    """depth_HW: float32, planar, metres, NaN where the estimator gives none. camera: with the focal length it found,
    or the one it was told."""

    depth_HW: np.ndarray
    camera: Camera


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
    except (OSError, ValueError, KeyError) as error:
        raise PipelineError(f"{path} cannot be read as a depth map: {error}") from error
    if values.ndim != 2:
        raise PipelineError(f"{path} holds an array of shape {values.shape}, not one depth a pixel")
    depth = np.where(np.isfinite(values) & (values > 0), values, np.nan).astype(np.float32)
    return _resized(depth, size_px, path)


def estimate_with_moge(network: Moge, rgb_HW3: np.ndarray, camera: Camera | None, computer: Computer) -> EstimatedDepth:
    """MoGe-2 at the image's own shape. camera: if it is known, its field of view is kept."""
    height, width = rgb_HW3.shape[:2]
    fov_x_rad = None if camera is None else 2 * float(np.arctan(width / 2 / camera.K_px[0, 0]))
    with computer.using(network):
        image = torch.from_numpy(np.ascontiguousarray(rgb_HW3)).to(computer.device)
        output = network((image.float() / 255).permute(2, 0, 1)[None])
    geometry = metric_geometry(output, fov_x_rad)
    depth = geometry.depth_BHW[0].float().cpu().numpy()
    found = Camera(np.diag([width, height, 1.0]) @ geometry.K_norm_B33[0].double().cpu().numpy())
    valid = np.isfinite(depth) & (depth > 0)
    return EstimatedDepth(np.where(valid, depth, np.nan).astype(np.float32), camera or found)


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
    image = Image.open(path)
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
