"""What a training sample costs on one core, and where the time goes.

    OMP_NUM_THREADS=1 python tests/benchmarks/data_path.py DATA [--objects OBJECTS] [--out results/data_path.json]

DATA: a dataset with 1024-pixel views and depth estimates, and objects tables with latents or features and 518-pixel
crops, to compare with the official figures (in PEER below, measured on the same kind of core; facts sheet of the
official data path). Process CPU time, one thread, files in the page cache.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

import pipelines.train.data.encoder_images
import pipelines.train.data.placement
import pipelines.train.data.points
import pipelines.train.data.scene_views
import pipelines.train.data.sources.structure
import scenegen.contract.codecs
import scenegen.contract.object_dataset
import scenegen.contract.objects
import scenegen.contract.sidecar
from pipelines.train.data.batches import Tensors
from pipelines.train.data.errors import Rejected
from pipelines.train.data.options import DataLocation, DataOptions
from pipelines.train.data.order import SampleOrder
from pipelines.train.data.sources.structure import StructureSource
from pipelines.train.data.sources.texture import TextureSource

PEER_MS = {"coarse": 261.0, "fine": 300.0, "texture": 207.0}
PEER_LANCZOS_MS = 14.4
PER_VIEW = (1, 2, 4, 8)
STRUCTURE = pipelines.train.data.sources.structure
PARTS: list[tuple[Any, str, str]] = [  # module, function, what it is
    (scenegen.contract.codecs, "decode_rgb", "decode scene image and clean crop"),
    (scenegen.contract.codecs, "decode_depth", "decode true depth"),
    (scenegen.contract.codecs, "decode_planes", "decode ids and estimate"),
    (scenegen.contract.sidecar, "_decode", "estimate: codes to values"),
    (pipelines.train.data.scene_views, "resized", "resize scene image"),
    (pipelines.train.data.scene_views, "resized_tensor", "blur scene image"),
    (pipelines.train.data.scene_views, "squeezed_nearest", "resize scene ids"),
    (pipelines.train.data.encoder_images, "resized", "resize crop"),
    (pipelines.train.data.encoder_images, "squeezed_nearest", "resize crop mask"),
    (pipelines.train.data.points, "interior", "erode the mask"),
    (STRUCTURE, "clean_image", "clean crop, but its decoding"),
    (STRUCTURE, "visible_points", "points, the rest"),
    (STRUCTURE, "instance_images", "images, the rest"),
    (STRUCTURE, "structure_batch", "collate"),
    (pipelines.train.data.points, "_aligned", "align the estimate"),
    (pipelines.train.data.points, "unprojected", "pixels to points"),
    (STRUCTURE, "place_in_scene", "place the cube"),
    (STRUCTURE, "voxelise", "voxelise points"),
    (STRUCTURE, "surface_voxels", "voxelise the mesh"),
    (STRUCTURE, "draw_step", "noise"),
    (scenegen.contract.objects, "decode_geometry", "decode the mesh"),
    (scenegen.contract.objects, "decode_latents", "decode latents"),
    (scenegen.contract.objects, "decode_features", "decode features"),
]


class Stopwatch:
    """Exclusive CPU time of wrapped functions."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def wrap(self, function: Callable[..., Any], label: str) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            self._inner.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                whole, inner = time.process_time() - started, self._inner.pop()
                self.seconds[label] += whole - inner
                self._inner[-1] += whole

        return timed

    @contextmanager
    def watching(self) -> Any:
        kept = [(module, name, getattr(module, name)) for module, name, _ in PARTS]
        for module, name, label in PARTS:
            setattr(module, name, self.wrap(getattr(module, name), label))
        try:
            yield
        finally:
            for module, name, function in kept:
                setattr(module, name, function)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--objects")
    parser.add_argument("--image-px", type=int, default=518)
    parser.add_argument("--samples", type=int, default=96)
    parser.add_argument("--latents")
    parser.add_argument("--extractor")
    parser.add_argument("--only", choices=list(PEER_MS))
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    location = DataLocation(asked.data, asked.objects)
    options = DataOptions((location,), asked.image_px, latents=asked.latents, extractor=asked.extractor)
    sources: dict[str, Callable[[], Any]] = {
        "coarse": lambda: StructureSource(options, "train", 0, "coarse"),
        "fine": lambda: StructureSource(options, "train", 0, "fine"),
    }
    if asked.latents or asked.extractor:
        sources["texture"] = lambda: TextureSource(options, "train", 0)
    report: dict[str, Any] = {
        "command": " ".join(sys.argv),
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu_name(),
        "load_average": os.getloadavg(),
        "lanczos_1024_to_518_ms": {"here": lanczos_ms(), "in the official measurement": PEER_LANCZOS_MS},
        "data": describe(sources["coarse"]()),
        "sources": {},
    }
    for name in [asked.only] if asked.only else list(sources):
        report["sources"][name] = measure(sources[name](), asked.samples, PEER_MS[name])
        print(name, json.dumps(report["sources"][name], indent=1))
    if asked.out:
        asked.out.write_text(json.dumps(report, indent=1) + "\n")


def describe(source: StructureSource) -> dict[str, Any]:
    view = source.readers.dataset(0).view(0)
    faces = [source.catalogue.asset(index).num_faces for index in range(len(source))]
    objects = np.bincount(source.groups())
    return {
        "view_px": view.size_px,
        "samples": len(source),
        "usable_objects_a_view": float(objects.mean()),
        "faces_min_median_max": np.quantile(faces, [0, 0.5, 1]).tolist(),
    }


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


def lanczos_ms() -> float:
    """A piece of work that the official measurement also states, to compare the speed of the cores."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8))
    times = []
    for _ in range(9):
        started = time.process_time()
        image.resize((518, 518), Image.Resampling.LANCZOS)
        times.append(time.process_time() - started)
    return round(1000 * float(np.median(times)), 2)


def measure(source: Any, count: int, peer_ms: float) -> dict[str, Any]:
    by_size = {size: run(source, count, size) for size in PER_VIEW}
    watch = Stopwatch()
    with watch.watching():
        watched = run(source, count, per_view=4, watch=watch)
    parts = {label: 1000 * seconds / watched["made"] for label, seconds in watch.seconds.items()}
    parts["rest"] = watched["ms"] - sum(parts.values())
    best = by_size[4]
    return {
        "ms_by_objects_of_a_view_together": {size: round(each["ms"], 2) for size, each in by_size.items()},
        "samples_per_second": round(1000 / best["ms"], 1),
        "times_the_official": round(peer_ms / best["ms"], 2),
        "mb_read": round(best["mb_read"], 2),
        "mb_out": round(best["mb_out"], 2),
        "rejected": best["rejected"],
        "target_voxels_median": best["voxels"],
        "parts_ms": {label: round(ms, 2) for label, ms in sorted(parts.items(), key=lambda item: -item[1])},
    }


def run(source: Any, count: int, per_view: int, watch: Stopwatch | None = None) -> dict[str, Any]:
    """Samples in the order of training, collated by four; the first ones, which open files, are not counted."""
    order = SampleOrder(source.groups(), source.weights(), 0, per_view)
    rejected: Counter[str] = Counter()
    warm, picks = order.step(1, 16), order.step(0, count)
    made, read, out, voxels = 0, bytes_read(), 0, []
    for index, visit in zip(warm.index_B, warm.visit_B, strict=True):
        _load(source, int(index), int(visit), Counter())
    if watch is not None:
        watch.seconds.clear()
    started, waiting = time.process_time(), []
    read = bytes_read()
    for index, visit in zip(picks.index_B, picks.visit_B, strict=True):
        sample = _load(source, int(index), int(visit), rejected)
        if sample is not None:
            waiting.append(sample)
        if len(waiting) == 4:
            batch = source.collate(waiting)
            made, out, waiting = made + 4, out + tensor_bytes(batch), []
            voxels.append(len(getattr(batch, "voxels_target_V", getattr(batch, "coords_N4", []))) / 4)
    seconds = time.process_time() - started
    return {
        "ms": 1000 * seconds / made,
        "made": made,
        "mb_read": (bytes_read() - read) / made / 1e6,
        "mb_out": out / made / 1e6,
        "rejected": dict(rejected),
        "voxels": float(np.median(voxels)),
    }


def _load(source: Any, index: int, visit: int, rejected: Counter[str]) -> Any:
    try:
        return source.load(index, visit)
    except Rejected as error:
        rejected[error.reason] += 1
        return None


def bytes_read() -> int:
    """Of this process, from files, cached or not."""
    return int(dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())["rchar"])


def tensor_bytes(batch: Tensors) -> int:
    sizes: list[int] = []
    batch._each(lambda tensor: (sizes.append(tensor.numel() * tensor.element_size()), tensor)[1])
    return sum(sizes)


if __name__ == "__main__":
    main()
