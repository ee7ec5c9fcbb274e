"""A whole system on one GPU within minutes, on a machine that nothing but small files reach.

    python tests/benchmarks/train_on_gpu.py pack PARTS --shards train --shards val --objects objects [--mib 50]
    python tests/benchmarks/train_on_gpu.py train PARTS --out OUT --compile [--minutes 9] [--size dense] [--earlier OUT]
    python tests/benchmarks/train_on_gpu.py unpack OUT --out RUN

`pack` makes one archive of datasets and objects tables, cut into files of at most --mib MiB. Voxel features are left
out unless --features: they are ten times as large as all else. `train` puts it together and gives each stage its share
of the minutes (`train-fixer --max-minutes`); stages whose tables are not there are left out. After each
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

from pipelines.errors import EXIT_DONE, EXIT_ERROR, UsageError  # noqa: E402
from pipelines.names import ENCODER_NAMES, SIZE_NAMES, STAGE_NAMES, EncoderName, StageName  # noqa: E402
from pipelines.train.build_stages import EXTRACTORS  # noqa: E402
from pipelines.train.data.options import DataOptions  # noqa: E402
from pipelines.train.data.readers import DataLocation  # noqa: E402
from pipelines.train.data.tables import check_tables  # noqa: E402
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
OVERHEAD = 0.25  # of the minutes: starts, first batches, compilation, validation
RESULT_MIB = 15


def main() -> int:
    """EXIT_ERROR if a stage failed."""
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
    training.add_argument("--size", choices=SIZE_NAMES, default="dense")
    training.add_argument("--encoders", choices=ENCODER_NAMES, default="efficientnet_lite0")
    unpacking = commands.add_parser("unpack")
    unpacking.add_argument("parts", type=Path)
    unpacking.add_argument("--out", type=Path, required=True)
    options, more = parser.parse_known_args()
    if options.command == "pack":
        pack(options.out, options.mib, _data_files(options.shards, options.objects, options.features))
    elif options.command == "unpack":
        unpack(options.parts, options.out)
    else:
        return EXIT_DONE if train(options, more) else EXIT_ERROR
    return EXIT_DONE


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


def train(options: argparse.Namespace, more: Sequence[str]) -> bool:
    """Every stage for its share of the minutes, in a process of its own; one that fails does not end the others.

    Whether none did.
    """
    with tempfile.TemporaryDirectory() as folder:
        data, earlier, run = (Path(folder) / name for name in ("data", "earlier", "run"))
        unpack(options.parts, data)
        if options.earlier:
            unpack(options.earlier, earlier)
        places = [DataLocation(str(shards), str(data / "objects")) for shards in sorted(data.glob("shards-*"))]
        stages = _stages(places, options.encoders)
        whole = options.minutes * (1 - OVERHEAD) / sum(SHARES[name] for name in stages)
        always = ["--run-dir", str(run), "--size", options.size, "--encoders", options.encoders, *more]
        always += [
            f"--{option}={value}" for at in places for option, value in (("shards", at.shards), ("objects", at.objects))
        ]
        always += _weights(earlier)
        failed = []
        for name in stages:
            mine = ["--stage", name, "--max-minutes", f"{whole * SHARES[name]:.3f}"]
            if subprocess.run([sys.executable, "-m", "pipelines.train.cli", *always, *mine], cwd=ROOT).returncode:
                failed.append(name)
            pack(options.out, RESULT_MIB, _results(run))
    print(f"failed: {', '.join(failed)}" if failed else "all trained", flush=True)
    return not failed


def _stages(places: Sequence[DataLocation], encoders: EncoderName) -> list[StageName]:
    """Those whose tables are there."""
    data, stages = DataOptions(tuple(places), extractor=EXTRACTORS[encoders]), []
    for name in STAGE_NAMES:
        try:
            check_tables(name, data)
            stages.append(name)
        except UsageError as missing:
            print(f"left out: {missing}", flush=True)
    return stages


def _weights(earlier: Path) -> list[str]:
    """--weights with every network of an earlier run, of the last stage that trained it."""
    files = [file for name in STAGE_NAMES for file in (earlier / name / "result").glob("*.safetensors")]
    places = {file.stem: file.with_suffix("") for file in files}
    return ["--weights", *(f"{network}={place}" for network, place in places.items())] if places else []


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
    for stage in sorted(result.parent for result in run.glob("*/result")):
        kept = [
            *(stage / "result").iterdir(),
            *stage.glob("*.json"),
            *stage.glob("metrics.jsonl"),
            *stage.glob("*.png"),
        ]
        yield from ((file, str(file.relative_to(run))) for file in sorted(kept))


if __name__ == "__main__":
    sys.exit(main())
