"""A whole system on one GPU within minutes, on a machine that nothing but small files reach.

    python tests/benchmarks/train_on_gpu.py pack PARTS --shards train --shards val --objects objects [--mib 50]
    python tests/benchmarks/train_on_gpu.py train PARTS --out OUT --compile [--minutes 9] [--size dense] [--earlier OUT]
    python tests/benchmarks/train_on_gpu.py unpack OUT --out RUN

`pack` makes one archive of datasets and objects tables, cut into files of at most --mib MiB. Voxel features are left
out unless --features: they are ten times as large as all else. `train` puts it together and gives each stage its share
of the minutes (`train-fixer --max-minutes`); stages that read features go without where there are none. After each
stage all results so far are in OUT, in files of at most 15 MiB: what is there when the machine goes away can be used.
--earlier: what such a run left; every network goes on from there. More options go to train-fixer.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from pipelines.names import STAGE_NAMES, StageName  # noqa: E402
from scenegen.contract.index import parse_shard_name  # noqa: E402
from scenegen.contract.objects import FEATURES_PREFIX  # noqa: E402

# Of the minutes: the completers decide what an object looks like, autoencoders are soon good enough.
SHARES: dict[StageName, int] = {
    "structure_vae": 3,
    "slat_vae": 3,
    "structure_base": 7,
    "slat_base": 3,
    "gaussian_decoder": 1,
    "mesh_decoder": 3,
    "object": 4,
    "coarse": 11,
    "fine": 11,
    "texturer": 4,
}
READ_FEATURES: tuple[StageName, ...] = ("slat_vae", "slat_base", "gaussian_decoder", "mesh_decoder", "texturer")
OVERHEAD = 0.25  # of the minutes: starts, first batches, compilation, validation
RESULT_MIB = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("out", type=Path)
    packing.add_argument("--shards", type=Path, action="append", required=True)
    packing.add_argument("--objects", type=Path, required=True)
    packing.add_argument("--mib", type=float, default=50)
    packing.add_argument("--features", action="store_true")
    training = commands.add_parser("train")
    training.add_argument("parts", type=Path)
    training.add_argument("--out", type=Path, required=True)
    training.add_argument("--minutes", type=float, default=9)
    training.add_argument("--earlier", type=Path)
    training.add_argument("--size", default="dense")
    training.add_argument("--extractor", default="efficientnet_lite0")
    unpacking = commands.add_parser("unpack")
    unpacking.add_argument("parts", type=Path)
    unpacking.add_argument("--out", type=Path, required=True)
    options, more = parser.parse_known_args()
    if options.command == "pack":
        pack(options.out, options.mib, _data_files(options.shards, options.objects, options.features))
    elif options.command == "unpack":
        unpack(options.parts, options.out)
    else:
        train(options, more)


def pack(out: Path, mib: float, files: Iterable[tuple[Path, str]]) -> None:
    """One archive of files under their names, cut into out/part-000 and so on; what was there before is replaced."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for file, name in files:
            tar.add(file, name)
    out.mkdir(parents=True, exist_ok=True)
    step, content = int(mib * 2**20), archive.getbuffer()
    names = [f"part-{number:03d}" for number in range(-(-len(content) // step))]
    for number, name in enumerate(names):
        (out / f"{name}.new").write_bytes(content[number * step : (number + 1) * step])
    for old in out.glob("part-???"):
        old.unlink()
    for name in names:
        (out / f"{name}.new").rename(out / name)
    print(f"{out}: {len(content) / 2**20:.1f} MiB in {len(names)} files", flush=True)


def unpack(parts: Path, out: Path) -> None:
    """What `pack` packed, into a folder."""
    files = sorted(parts.glob("part-???"))
    if not files:
        raise SystemExit(
            f"{parts} has no part-000; make it with: train_on_gpu.py pack {parts} --shards ... --objects ..."
        )
    archive = io.BytesIO(b"".join(file.read_bytes() for file in files))
    with tarfile.open(fileobj=archive) as tar:
        tar.extractall(out, filter="data")


def train(options: argparse.Namespace, more: Sequence[str]) -> None:
    """Every stage for its share of the minutes, in a process of its own; one that fails does not end the others."""
    with tempfile.TemporaryDirectory() as folder:
        data, earlier, run = (Path(folder) / name for name in ("data", "earlier", "run"))
        unpack(options.parts, data)
        if options.earlier:
            unpack(options.earlier, earlier)
        weights = sorted({f"{file.stem}={file.with_suffix('')}" for file in earlier.glob("*/result/*.safetensors")})
        shards = sorted(data.glob("shards-*"))
        given = [f"--shards={place}" for place in shards] + [f"--objects={data / 'objects'}"] * len(shards)
        stages = _stages(data / "objects")
        for name in stages:
            minutes = options.minutes * (1 - OVERHEAD) * SHARES[name] / sum(SHARES[stage] for stage in stages)
            command = [sys.executable, "-m", "pipelines.train.cli", "--stage", name, "--run-dir", str(run), *given]
            command += ["--size", options.size, "--encoders", options.extractor, "--max-minutes", f"{minutes:.3f}"]
            command += [*(("--weights", *weights) if weights else ()), *more]
            if subprocess.run(command, cwd=ROOT).returncode:
                print(f"{name}: failed; going on", flush=True)
            pack(options.out, RESULT_MIB, _results(run))


def _stages(objects: Path) -> list[StageName]:
    has_features = any(name.startswith(FEATURES_PREFIX) for name in _tables(objects))
    left_out = () if has_features else READ_FEATURES
    if left_out:
        print(f"no voxel features, so without {', '.join(left_out)}", flush=True)
    return [name for name in STAGE_NAMES if name not in left_out]


def _tables(folder: Path) -> set[str]:
    return {parsed[0] for parsed in map(parse_shard_name, (file.name for file in folder.iterdir())) if parsed}


def _data_files(shards: Sequence[Path], objects: Path, features: bool) -> Iterator[tuple[Path, str]]:
    """Files of datasets, and of the objects tables beside or apart from them."""
    for number, folder in enumerate(shards):
        for file in sorted(folder.iterdir()):
            if file.is_file() and not file.name.startswith("objects"):
                yield file, f"shards-{number}/{file.name}"
    for file in sorted(objects.iterdir()):
        parsed = parse_shard_name(file.name)
        if parsed and parsed[0].startswith("objects") and (features or not parsed[0].startswith(FEATURES_PREFIX)):
            yield file, f"objects/{file.name}"


def _results(run: Path) -> Iterator[tuple[Path, str]]:
    """What finished stages left: networks, facts, curves; no checkpoints, which are three times as large."""
    for stage in sorted(folder for folder in run.iterdir() if (folder / "result").exists()):
        kept = [
            *(stage / "result").iterdir(),
            *stage.glob("*.json"),
            *stage.glob("metrics.jsonl"),
            *stage.glob("*.png"),
        ]
        yield from ((file, str(file.relative_to(run))) for file in sorted(kept))


if __name__ == "__main__":
    main()
