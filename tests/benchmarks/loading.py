"""Samples a second of the PyTorch datasets, beside WebDataset and Hugging Face datasets, on the same views in one run.

OMP_NUM_THREADS=1 python tests/benchmarks/loading.py DATA [--copies 1] [--out tests/benchmarks/results/loading.json]

Every loader gives the same tensors in shuffled batches: rgb alone, or rgb with depth in metres and ids. The tar files
of WebDataset are written here as people write them: rgb as the same lossless WebP or as PNG, depth (millimetres) and
ids as 16-bit PNG. `datasets` reads our own Parquet files: rgb as its Image, the rest by the coding that
scenegen/contract/README.md documents. Loaders take turns; time counts from each one's first batch to its last of an
epoch, or to three seconds, and the fastest of the rounds is reported: what else runs on a machine only slows. CPU time
a sample is measured in one process, without workers.
"""

import argparse
import io
import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from torch.utils.data import DataLoader

from scenegen import IterableViewDataset, ViewDataset, open_dataset
from scenegen.contract.codecs import encode_rgb
from scenegen.contract.index import list_shards, shard_name
from scenegen.contract.storage import Root

CONTENTS = {"rgb": ("rgb",), "rgb, depth, ids": ("rgb", "depth_m", "instance_id")}
WORKERS = (1, 2)
SHUFFLE_BUFFER = 64
MM = 1000.0
SECONDS = 3.0

Loader = Callable[[tuple[str, ...], int], Iterable[Mapping[str, Any]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--copies", type=int, default=1, help="of every shard, for datasets of few views")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a JSON file, to which the dataset's figures are added")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = copied(asked.data, folder / "data", asked.copies)
        loaders = all_loaders(data, folder, asked.batch_size)
        check(loaders)
        rows = measured(loaders, asked.rounds)
        report = {
            "date": time.strftime("%Y-%m-%d"),
            "cpu": cpu_name(),
            "load_average": os.getloadavg()[0],
            "size_px": open_dataset(data).view(0, []).size_px,
            "views": len(open_dataset(data)),
            "batch_size": asked.batch_size,
            "rounds": asked.rounds,
            "mb_a_view": {name: bytes_of(folder / name) / 1e6 / len(open_dataset(data)) for name in FILES},
            "cpu_ms_a_sample": cpu_times(loaders),
            "samples_per_second": rows,
        }
    print(json.dumps(report, indent=1))
    if asked.out:
        known = json.loads(asked.out.read_text()) if asked.out.exists() else {}
        known[f"{report['size_px'][0]} px"] = report
        asked.out.write_text(json.dumps(known, indent=1) + "\n")


def copied(data: str, folder: Path, copies: int) -> Path:
    """The shards of a dataset, each several times."""
    folder.mkdir()
    root = Root.open(data)
    for table in ("views", "scenes"):
        files = [name for _, name in list_shards(root, table)]
        for number, name in enumerate(files * copies):
            shutil.copy(root.path(name), folder / shard_name(table, number, len(files) * copies))
    return folder


def all_loaders(data: Path, folder: Path, batch_size: int) -> dict[str, Loader]:
    return {
        "ViewDataset": partial(ours_by_number, data, batch_size),
        "IterableViewDataset": partial(ours_iterable, data, batch_size),
        "WebDataset, rgb as WebP": partial(web, written(data, folder / "webp", "webp", encode_rgb), batch_size),
        "WebDataset, rgb as PNG": partial(web, written(data, folder / "png", "png", png), batch_size),
        "datasets, by number": partial(hugging_face, data, folder / "cache", batch_size),
        "datasets, streaming": partial(hugging_face_streaming, data, folder / "cache", batch_size),
    }


FILES = ("data", "webp", "png")


def ours_by_number(data: Path, batch_size: int, images: tuple[str, ...], workers: int) -> DataLoader:
    return DataLoader(ViewDataset(data, images), batch_size, shuffle=True, num_workers=workers)


def ours_iterable(data: Path, batch_size: int, images: tuple[str, ...], workers: int) -> DataLoader:
    views = IterableViewDataset(ViewDataset(data, images), batch_size=batch_size)
    return DataLoader(views, batch_size, num_workers=workers)


def written(data: Path, folder: Path, ending: str, encode: Callable[[np.ndarray], bytes]) -> str:
    """Tar files, one for each shard, as WebDataset names them."""
    folder.mkdir()
    dataset, numbers = open_dataset(data), count()
    for shard, size in enumerate(dataset.shard_sizes):
        with tarfile.open(folder / f"{shard:06d}.tar", "w") as tar:
            for number in islice(numbers, size):
                view = dataset.view(number)
                depth = np.rint(np.nan_to_num(view.depth_m) * MM).astype(np.uint16)
                add(tar, f"{number:06d}.rgb.{ending}", encode(view.rgb))
                add(tar, f"{number:06d}.depth.png16", png(depth))
                add(tar, f"{number:06d}.ids.png16", png(view.instance_id))
    return f"{folder}/{{000000..{len(dataset.shard_sizes) - 1:06d}}}.tar"


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def png(image: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(image).save(sink, "PNG")
    return sink.getvalue()


def web(tars: str, batch_size: int, images: tuple[str, ...], workers: int) -> DataLoader:
    import webdataset

    wanted = {"rgb": "rgb.webp rgb.png", "depth_m": "depth.png16", "instance_id": "ids.png16"}
    names = {wanted[image].split()[0].split(".")[0] for image in images}
    views = (
        webdataset.WebDataset(tars, shardshuffle=100, empty_check=False, select_files=partial(_is_of, names))
        .shuffle(SHUFFLE_BUFFER)
        .decode("rgb8", handler=webdataset.reraise_exception, pre=[webdataset.handle_extension("png16", _opened)])
        .map(web_sample)
    )
    return DataLoader(views, batch_size, num_workers=workers)


def _is_of(names: set[str], file: str) -> bool:
    return file.split(".")[1] in names


def _opened(blob: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(blob)))


def web_sample(sample: Mapping[str, Any]) -> dict[str, Any]:
    rgb = sample.get("rgb.webp", sample.get("rgb.png"))
    found = {"number": int(sample["__key__"]), "rgb": channels_first(rgb)}
    if "depth.png16" in sample:
        depth_m = sample["depth.png16"].astype(np.float32) / np.float32(MM)
        depth_m[sample["depth.png16"] == 0] = np.nan
        found["depth_m"] = torch.from_numpy(depth_m)[None]
        found["instance_id"] = torch.from_numpy(sample["ids.png16"].astype(np.int32))
    return found


def hugging_face(data: Path, cache: Path, batch_size: int, images: tuple[str, ...], workers: int) -> DataLoader:
    rows = parquet_rows(data, cache, images, streaming=False)
    return DataLoader(rows.with_transform(rows_to_samples), batch_size, shuffle=True, num_workers=workers)


def hugging_face_streaming(
    data: Path, cache: Path, batch_size: int, images: tuple[str, ...], workers: int
) -> DataLoader:
    rows = parquet_rows(data, cache, images, streaming=True).shuffle(seed=0, buffer_size=SHUFFLE_BUFFER)
    return DataLoader(rows.map(row_to_sample, remove_columns=rows.column_names), batch_size, num_workers=workers)


def parquet_rows(data: Path, cache: Path, images: tuple[str, ...], streaming: bool) -> Any:
    import datasets

    datasets.disable_progress_bars()
    columns = {
        "rgb": ["rgb"],
        "depth_m": ["depth", "depth_offset_m", "depth_step_m"],
        "instance_id": ["instance_id"],
    }
    wanted = ["scene_index", "view_index", "height", "width", *(c for image in images for c in columns[image])]
    rows = datasets.load_dataset(
        "parquet",
        data_files=[str(file) for file in sorted(data.glob("views-*"))],
        split="train",
        columns=wanted,
        cache_dir=str(cache),
        streaming=streaming,
    )
    return rows.cast_column("rgb", datasets.Image())


def rows_to_samples(rows: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    samples = [row_to_sample(dict(zip(rows, values, strict=True))) for values in zip(*rows.values(), strict=True)]
    return {key: [sample[key] for sample in samples] for key in samples[0]}


def row_to_sample(row: Mapping[str, Any]) -> dict[str, Any]:
    """By the coding that the contract documents."""
    found = {"scene_index": row["scene_index"], "view_index": row["view_index"]}
    found["rgb"] = channels_first(np.asarray(row["rgb"]))
    if "depth" in row:
        code = planes(row["depth"], row["height"], row["width"])
        depth_m = code.astype(np.float32) * np.float32(row["depth_step_m"]) + np.float32(row["depth_offset_m"])
        depth_m[code == 0] = np.nan
        found["depth_m"] = torch.from_numpy(depth_m)[None]
        ids = planes(row["instance_id"], row["height"], row["width"])
        found["instance_id"] = torch.from_numpy(ids.astype(np.int32))
    return found


def planes(blob: bytes, height: int, width: int) -> np.ndarray:
    raw = pa.Codec("zstd").decompress(blob, decompressed_size=2 * height * width)
    low, high = np.frombuffer(raw, np.uint8).reshape(2, height, width).astype(np.uint16)
    return np.cumsum(low | high << 8, axis=-1, dtype=np.uint16)


def channels_first(image_HW3: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image_HW3.transpose(2, 0, 1)))


def check(loaders: Mapping[str, Loader]) -> None:
    """All loaders give the same images: sums over an epoch, depth within the millimetre that PNG keeps."""
    images = CONTENTS["rgb, depth, ids"]
    wanted: dict[str, float] | None = None
    for name, loader in loaders.items():
        found = dict.fromkeys((*images, "views"), 0.0)
        for batch in loader(images, 1):
            found["views"] += len(batch["rgb"])
            for image in images:
                found[image] += float(batch[image].double().nan_to_num().sum())
        wanted = wanted or found
        for key, total in found.items():
            if abs(total - wanted[key]) > (1e-4 * abs(wanted[key]) if key == "depth_m" else 0):
                raise SystemExit(f"{name} gives other {key}: {total} instead of {wanted[key]}")


def measured(loaders: Mapping[str, Loader], rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """content → workers → loader → samples a second."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for content, images in CONTENTS.items():
        for workers in WORKERS:
            speeds: dict[str, list[float]] = {name: [] for name in loaders}
            for _ in range(rounds):
                for name, loader in loaders.items():
                    speeds[name].append(speed(iter(loader(images, workers))))
            best = {name: round(max(each), 1) for name, each in speeds.items()}
            found.setdefault(content, {})[f"{workers} workers"] = best
            print(content, workers, {name: [round(one) for one in each] for name, each in speeds.items()}, flush=True)
    return found


def cpu_times(loaders: Mapping[str, Loader]) -> dict[str, dict[str, float]]:
    """content → loader → milliseconds, the least of two epochs in this process."""
    return {
        content: {n: cpu_time(loader, images) for n, loader in loaders.items()} for content, images in CONTENTS.items()
    }


def cpu_time(loader: Loader, images: tuple[str, ...]) -> float:
    return round(1000 / max(speed(iter(loader(images, 0)), time.process_time) for _ in range(2)), 2)


def speed(batches: Iterator[Mapping[str, Any]], clock: Callable[[], float] = time.perf_counter) -> float:
    """Samples a second, without the first batch, for which workers start and files are opened."""
    next(batches)
    started, samples = clock(), 0
    for batch in batches:
        samples += len(batch["rgb"])
        if clock() - started > SECONDS:
            break
    return samples / (clock() - started)


def bytes_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*") if not file.name.startswith("scenes-"))


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(line.split(": ")[1] for line in lines if line.startswith("model name"))


if __name__ == "__main__":
    main()
