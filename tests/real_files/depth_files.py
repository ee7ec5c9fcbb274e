"""Depth as sensors, estimators and renderers write it. Every file shows `DEPTH_M`, or is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.real_files.picture_case import DEPTH_M, DEPTH_MM, HEIGHT, RGB, WIDTH, FileCase, Refused

KNOWN_M = np.nan_to_num(DEPTH_M)
SATURATED_MM = np.where(DEPTH_MM > 0, DEPTH_MM, 65535).astype(np.uint16)
ROUNDED = 1e-6  # of float32
HALF = 2e-3


def _npy(values: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.save(folder / "depth.npy", values, allow_pickle=True)
        return folder / "depth.npy"

    return write


def _npz(**arrays: np.ndarray) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.savez(folder / "depth.npz", **arrays)
        return folder / "depth.npz"

    return write


def _image(values: np.ndarray, name: str = "depth.png") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        Image.fromarray(values).save(folder / name)
        return folder / name

    return write


def _pfm(folder: Path) -> Path:
    """Portable float map: the lowest row first, a negative scale for little endian."""
    rows = KNOWN_M[::-1].astype("<f4").tobytes()
    (folder / "depth.pfm").write_bytes(f"Pf\n{WIDTH} {HEIGHT}\n-1.0\n".encode() + rows)
    return folder / "depth.pfm"


def _bytes(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(b"\0")
        return folder / name

    return write


def _exr(**channels: np.ndarray) -> Callable[[Path], Path]:
    """A dot of a channel's name is written as two underscores."""

    def write(folder: Path) -> Path:
        import OpenEXR

        named = {name.replace("__", "."): np.ascontiguousarray(values) for name, values in channels.items()}
        with OpenEXR.File({}, named) as file:
            file.write(str(folder / "depth.exr"))
        return folder / "depth.exr"

    return write


def _exr_case(name: str, report: str, right: Any = DEPTH_M, tolerance: float = 0.0, **channels: np.ndarray) -> FileCase:
    return FileCase(name, report, _exr(**channels), right, tolerance, needs="OpenEXR")


LIGHT = (RGB / 255).astype(np.float32)
COMBINED = {f"ViewLayer__Combined__{name}": LIGHT[..., band] for band, name in enumerate("RGB")}
POINTS = {"R": KNOWN_M - 2, "G": KNOWN_M / 3, "B": KNOWN_M}

DEPTHS = [
    FileCase("millimetres", "ScanNet 17: 16 bits without a unit", _image(DEPTH_MM), DEPTH_M, ROUNDED),
    FileCase("upper case", "DEPTH.PNG of millimetres", _image(DEPTH_MM, "DEPTH.PNG"), DEPTH_M, ROUNDED),
    FileCase("millimetres in npy", "integers of a sensor's SDK", _npy(DEPTH_MM), DEPTH_M, ROUNDED),
    FileCase("tum", "slambook2 221: 5000 is a metre", _image(DEPTH_MM * np.uint16(5)), DEPTH_M, ROUNDED),
    FileCase("saturated", "65535 where a sensor sees nothing", _image(SATURATED_MM), DEPTH_M, ROUNDED),
    FileCase(
        "unknown in every way",
        "no number, infinite and negative",
        _npy(np.where(np.isnan(DEPTH_M), np.array([[np.nan, np.inf, -1] + [0] * (WIDTH - 3)]), DEPTH_M)),
        DEPTH_M,
        ROUNDED,
    ),
    FileCase("half floats", "float16 of a network", _npy(DEPTH_M.astype(np.float16)), DEPTH_M, HALF),
    FileCase("one in a batch", "1 x H x W of a network", _npy(DEPTH_M[None]), DEPTH_M),
    FileCase("depth pro", "depth beside a focal length", _npz(depth=DEPTH_M, focallength_px=np.array(900.0)), DEPTH_M),
    FileCase(
        "no array is depth",
        "Aloception 342: arrays of any name",
        _npz(depth_map=DEPTH_M, K=np.eye(3)),
        Refused("called depth; it has depth_map, K"),
    ),
    FileCase(
        "pickled",
        "a dictionary in .npy: Object arrays cannot be loaded",
        _npy(np.array({"depth": DEPTH_M}, dtype=object)),
        Refused("Python objects.*store the array of depth alone"),
    ),
    FileCase("float tiff", "ARKit's depth as TIFF", _image(KNOWN_M, "depth.tiff"), DEPTH_M),
    FileCase("pfm", "portable float map of stereo programs", _pfm, DEPTH_M),
    FileCase(
        "tensor", ".pt of a network", _bytes("depth.pt"), Refused(r"not from depth.pt; store it as \.npy in metres")
    ),
    FileCase("of a lidar", "Record3D 30: 256x192 beside 960x720", _npy(DEPTH_M.repeat(2, 0).repeat(2, 1)), DEPTH_M),
    FileCase("turned", "portrait depth, landscape photo", _npy(np.rot90(DEPTH_M)), Refused("turned by 90 degrees")),
    FileCase("8 bits", "Depth Anything V2 128: a picture of depth", _image(RGB[..., 0]), Refused("8 bit.*no depth")),
    FileCase("coloured", "depth_vis.png of MoGe", _image(RGB), Refused("colours.*no depth")),
    FileCase(
        "relative",
        "inverse depth scaled to 0 to 1",
        _npy((DEPTH_M - np.nanmin(DEPTH_M)) / np.ptp(DEPTH_M[3:])),
        Refused("from 0 to 1.*inverse depth"),
    ),
    FileCase("kilometres", "4 km deep", _npy(DEPTH_M * 2e6), Refused("cannot be meant")),
    _exr_case("exr of opencv", "OpenEXR 214: a channel Y", Y=KNOWN_M),
    _exr_case("exr of blender", "VisionSIM 22: a channel V", V=KNOWN_M),
    _exr_case("exr of halves", "MoGe's depth in half floats", Y=KNOWN_M.astype(np.float16), tolerance=HALF),
    _exr_case("exr of grey", "HDRView 4: depth thrice, as R, G and B", R=KNOWN_M, G=KNOWN_M, B=KNOWN_M),
    _exr_case("exr of many layers", "Blender's multilayer", ViewLayer__Depth__Z=KNOWN_M, **COMBINED),
    _exr_case(
        "exr of infinity", "Blender writes 1e10 for nothing", Z=np.where(KNOWN_M > 0, KNOWN_M, 1e10).astype("f4")
    ),
    _exr_case("exr of points", "MoGe's points.exr", Refused("R, G and B differ"), **POINTS),
]
