"""Bytes and decode time of the shard codecs against standard files, on one rendered view.

Each case ends with the arrays of the shard, unless its name says lossy. OpenEXR (extra "export") and JPEG XL
(pip install imagecodecs) are measured where they are installed.

python tests/benchmarks/codecs.py DATASET [--view 0] [--out tests/benchmarks/results/codecs.json]
"""

import argparse
import io
import json
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from scenegen.contract import codecs
from scenegen.contract.dataset import Dataset
from scenegen.contract.records import View


class Case(NamedTuple):
    """decode: bytes to the array that readers get."""

    blob: bytes
    decode: Callable[[bytes], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--view", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    view = Dataset.open(arguments.dataset).view(arguments.view)
    rows = {}
    for wanted, cases in (
        (view.rgb, rgb_cases(view)),
        (view.depth_m, depth_cases(view)),
        (view.instance_id, id_cases(view)),
        (view.normal_cam, normal_cases(view)),
    ):
        for (name, case), ms in zip(cases.items(), _best_ms([*cases.values()]), strict=True):
            if "lossy" not in name:
                np.testing.assert_array_equal(case.decode(case.blob), wanted)
            rows[name] = {"bytes": len(case.blob), "decode_ms": ms}
            print(f"{name:42s} {len(case.blob) / 1e6:7.3f} MB {ms:7.1f} ms")
    ours = sum(row["bytes"] for name, row in rows.items() if "(ours)" in name)
    width, height = view.size_px
    print(f"one row at {width} x {height}: {ours / 1e6:.2f} MB")
    if arguments.out:
        facts = {"size_px": [width, height], "row_bytes": ours, "cpu": platform.processor() or platform.machine()}
        arguments.out.write_text(
            json.dumps({**facts, "date": time.strftime("%Y-%m-%d"), "cases": rows}, indent=1) + "\n"
        )


def rgb_cases(view: View) -> dict[str, Case]:
    cases = {
        "rgb, lossless webp (ours)": Case(codecs.encode_rgb(view.rgb), codecs.decode_rgb),
        "rgb, png": Case(_image(view.rgb, "PNG"), codecs.decode_rgb),
        "rgb, jpeg 95 (lossy)": Case(_image(view.rgb, "JPEG", quality=95, subsampling=0), codecs.decode_rgb),
    }
    return cases | ({"rgb, jpeg xl": Case(*_jpeg_xl(view.rgb))} if find_spec("imagecodecs") else {})


def depth_cases(view: View) -> dict[str, Case]:
    height, width = view.instance_id.shape
    blob, offset, step = codecs.encode_depth(view.depth_m)
    code = codecs.decode_planes(blob, height, width)
    table = np.arange(65536, dtype=np.float32) * np.float32(step) + np.float32(offset)
    table[0] = np.nan
    cases = {"depth, planes (ours)": Case(blob, lambda b: codecs.decode_depth(b, offset, step, height, width))}
    for name, (other, decode) in _of_codes(code).items():
        cases[f"depth, {name}"] = Case(other, lambda b, decode=decode: codecs.looked_up(table, decode(b)))
    cases["depth, float32 npz"] = Case(_npz(view.depth_m), lambda b: np.load(io.BytesIO(b))["a"])
    if find_spec("OpenEXR"):
        cases["depth, float32 exr, zip"] = Case(*_exr({"Z": view.depth_m}))
        cases["depth, float16 exr, zip (lossy)"] = Case(*_exr({"Z": view.depth_m.astype(np.float16)}))
    return cases


def id_cases(view: View) -> dict[str, Case]:
    height, width = view.instance_id.shape
    ours = Case(codecs.encode_planes(view.instance_id), lambda b: codecs.decode_planes(b, height, width))
    cases = {"ids, planes (ours)": ours}
    return cases | {f"ids, {name}": Case(*other) for name, other in _of_codes(view.instance_id).items()}


def normal_cases(view: View) -> dict[str, Case]:
    height, width = view.instance_id.shape
    blob = codecs.encode_normals(view.normal_cam)
    code = codecs.decode_planes(blob, height, width, channels=2)
    stacked = np.concatenate([code[..., 0], code[..., 1]])  # both coordinates in one image, one above the other
    cases = {"normals, planes (ours)": Case(blob, lambda b: codecs.decode_normals(b, height, width))}

    def to_normals(codes: np.ndarray) -> np.ndarray:
        return codecs.normals_of_codes(codes.reshape(2, height, width).transpose(1, 2, 0))

    for name, (other, decode) in _of_codes(stacked).items():
        cases[f"normals, {name}"] = Case(other, lambda b, decode=decode: to_normals(decode(b)))
    rgba = np.ascontiguousarray(code).view(np.uint8)
    cases["normals, lossless webp, 4 bytes as rgba"] = Case(
        _webp(rgba),
        lambda b: codecs.normals_of_codes(np.ascontiguousarray(codecs.decode_rgba(b)).view(np.uint16)),
    )
    cases["normals, float32 npz"] = Case(_npz(view.normal_cam), lambda b: np.load(io.BytesIO(b))["a"])
    if find_spec("OpenEXR"):
        halves = {name: view.normal_cam[..., axis].astype(np.float16) for axis, name in enumerate("XYZ")}
        cases["normals, float16 exr, zip (lossy)"] = Case(*_exr(halves))
    return cases


def _of_codes(code: np.ndarray) -> dict[str, tuple[bytes, Callable[[bytes], np.ndarray]]]:
    """Standard files of (H, W) uint16, each with what decodes it."""
    low_high = np.zeros((*code.shape, 3), np.uint8)
    low_high[..., 0], low_high[..., 1] = code & 255, code >> 8
    files = {
        "16-bit png": (_image(code, "PNG"), lambda b: np.asarray(Image.open(io.BytesIO(b)), np.uint16)),
        "lossless webp, 2 bytes as rgb": (
            _webp(low_high),
            lambda b: (rgb := codecs.decode_rgb(b))[..., 0] | rgb[..., 1].astype(np.uint16) << 8,
        ),
    }
    return files | ({"jpeg xl, 16 bits": _jpeg_xl(code)} if find_spec("imagecodecs") else {})


def _image(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, kind, **options)
    return sink.getvalue()


def _webp(pixels: np.ndarray) -> bytes:
    return _image(pixels, "WEBP", lossless=True, quality=20, method=1, exact=True)


def _jpeg_xl(pixels: np.ndarray) -> tuple[bytes, Callable[[bytes], np.ndarray]]:
    import imagecodecs

    return imagecodecs.jpegxl_encode(pixels, lossless=True, effort=3), imagecodecs.jpegxl_decode


def _npz(array: np.ndarray) -> bytes:
    sink = io.BytesIO()
    np.savez_compressed(sink, a=array)
    return sink.getvalue()


def _exr(channels: dict[str, np.ndarray]) -> tuple[bytes, Callable[[bytes], np.ndarray]]:
    """The library reads and writes files alone: here in memory, where there is such a folder."""
    import OpenEXR

    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None)) / "a.exr"
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {name: np.ascontiguousarray(plane) for name, plane in channels.items()}).write(str(path))

    def decode(blob: bytes) -> np.ndarray:
        path.write_bytes(blob)
        read = OpenEXR.File(str(path), separate_channels=True).channels()
        planes = [read[name].pixels for name in channels]
        return planes[0] if len(planes) == 1 else np.stack(planes, axis=-1).astype(np.float32)

    return path.read_bytes(), decode


def _best_ms(cases: list[Case], repeats: int = 7) -> list[float]:
    """Of each the least of several CPU times, taken in turns: what the work costs when nothing disturbs it."""
    times: list[list[float]] = [[] for _ in cases]
    for _ in range(repeats):
        for taken, case in zip(times, cases, strict=True):
            start = time.process_time()
            case.decode(case.blob)
            taken.append(time.process_time() - start)
    return [round(min(taken) * 1e3, 2) for taken in times]


if __name__ == "__main__":
    main()
