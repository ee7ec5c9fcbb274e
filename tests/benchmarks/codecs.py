"""Bytes and decode time of the shard codecs against the usual files, on one rendered view.

python tests/benchmarks/codecs.py DATASET [--view 0] [--out tests/benchmarks/results/codecs.json]
"""

import argparse
import io
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from scenegen.contract import codecs
from scenegen.contract.dataset import Dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--view", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    view = Dataset.open(arguments.dataset).view(arguments.view)
    height, width = view.instance_id.shape
    depth, offset, step = codecs.encode_depth(view.depth_m)
    ids, normals = codecs.encode_planes(view.instance_id), codecs.encode_normals(view.normal_cam)
    depth_code = codecs.decode_planes(depth, height, width)
    cases: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
        "rgb, lossless webp (ours)": (codecs.encode_rgb(view.rgb), codecs.decode_rgb),
        "rgb, png": (_image(view.rgb, "PNG"), codecs.decode_rgb),
        "rgb, jpeg 95 (lossy)": (_image(view.rgb, "JPEG", quality=95, subsampling=0), codecs.decode_rgb),
        "depth, planes (ours)": (depth, lambda b: codecs.decode_depth(b, offset, step, height, width)),
        "depth, 16-bit png": (_image(depth_code, "PNG"), lambda b: np.asarray(Image.open(io.BytesIO(b)))),
        "depth, float32 npz": (_npz(view.depth_m), lambda b: np.load(io.BytesIO(b))["a"]),
        "ids, planes (ours)": (ids, lambda b: codecs.decode_planes(b, height, width)),
        "ids, 16-bit png": (_image(view.instance_id, "PNG"), lambda b: np.asarray(Image.open(io.BytesIO(b)))),
        "normals, planes (ours)": (normals, lambda b: codecs.decode_normals(b, height, width)),
        "normals, float32 npz": (_npz(view.normal_cam), lambda b: np.load(io.BytesIO(b))["a"]),
    }
    rows = {name: {"bytes": len(blob), "decode_ms": _best_ms(decode, blob)} for name, (blob, decode) in cases.items()}
    for name, row in rows.items():
        print(f"{name:28s} {row['bytes'] / 1e6:7.3f} MB {row['decode_ms']:7.1f} ms")
    ours = sum(row["bytes"] for name, row in rows.items() if "(ours)" in name)
    print(f"one row at {width} x {height}: {ours / 1e6:.2f} MB")
    if arguments.out:
        facts = {"size_px": [width, height], "row_bytes": ours, "cpu": platform.processor() or platform.machine()}
        arguments.out.write_text(
            json.dumps({**facts, "date": time.strftime("%Y-%m-%d"), "cases": rows}, indent=1) + "\n"
        )


def _image(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, kind, **options)
    return sink.getvalue()


def _npz(array: np.ndarray) -> bytes:
    sink = io.BytesIO()
    np.savez_compressed(sink, a=array)
    return sink.getvalue()


def _best_ms(decode: Callable[[bytes], object], blob: bytes, repeats: int = 7) -> float:
    """The least of several CPU times: what the work costs when nothing disturbs it."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        decode(blob)
        times.append(time.process_time() - start)
    return round(min(times) * 1e3, 2)


if __name__ == "__main__":
    main()
