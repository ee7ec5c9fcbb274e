"""What annotation costs: CPU time of each step, bytes a row, the robust fit against others, networks of full size.

python tests/benchmarks/annotate.py DATASET [--views 4] [--networks] [--out tests/benchmarks/results/annotate.json]

--networks: one image through Depth Anything V2 (Small, Large) and MoGe-2 (Large) with random weights, for their time.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scenegen.annotate import alignment
from scenegen.annotate.manifest import read_estimators
from scenegen.annotate.protocol import Prediction
from scenegen.annotate.shard import aligned_estimate
from scenegen.annotate.simulated import SEVERITIES, simulate
from scenegen.contract import codecs
from scenegen.contract.dataset import Dataset
from scenegen.contract.records import View
from scenegen.contract.sidecar import decode_estimate, encode_estimate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--networks", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    dataset = Dataset.open(arguments.dataset)
    views = [dataset.view(number) for number in range(min(arguments.views, len(dataset)))]
    result = {
        "command": f"python tests/benchmarks/annotate.py DATASET --views {len(views)}",
        "hardware": f"{_cpu()}, one thread; CPU time",
        "date": time.strftime("%Y-%m-%d"),
        "size_px": list(views[0].size_px),
        "simulated": {severity: _simulated(views, severity) for severity in SEVERITIES},
        "upsampled_map": _upsampled(views),
        "codings_bytes": _codings(views[0]),
        "fits_abs_rel_on_sound_pixels": _fits(views),
    }
    if arguments.networks:
        result["networks_cpu_s_an_image"] = _networks(views[0])
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _timed(work: Callable[[], object]) -> tuple[float, object]:
    started = time.process_time()
    value = work()
    return time.process_time() - started, value


def _row(view: View, prediction: Prediction, name: str) -> dict[str, float]:
    """CPU time of aligning, encoding and decoding one map, its bytes and its error."""
    meta = read_estimators()[name].meta("", "", {}, name)
    align_s, (estimate, share) = _timed(lambda: aligned_estimate(view, prediction, meta, np.random.default_rng(0)))
    encode_s, batch = _timed(lambda: encode_estimate(estimate, share))
    row = batch.to_pylist()[0]
    decode_s, _ = _timed(lambda: decode_estimate(row, meta))
    aligned_s, _ = _timed(lambda: estimate.aligned_m)
    return {
        "align_s": align_s,
        "encode_s": encode_s,
        "decode_s": decode_s,
        "apply_alignment_s": aligned_s,
        "bytes": len(row["map"]) + len(row["confidence"] or b""),
        "abs_rel": estimate.errors.abs_rel,
        "delta1": estimate.errors.delta1,
        "instance_abs_rel": float(np.mean([one.errors.abs_rel for one in estimate.instances])),
        "valid_share": share,
    }


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(float(np.mean([row[key] for row in rows])), 4) for key in rows[0]}


def _simulated(views: list[View], severity: str) -> dict[str, float]:
    rows = []
    for number, view in enumerate(views):
        how, rng = SEVERITIES[severity], np.random.default_rng(number)
        seconds, made = _timed(lambda v=view, h=how, r=rng: simulate(v.depth_m, v.instance_id, h, r))
        rows.append({"simulate_s": seconds, **_row(view, Prediction(made), "simulated")})
    return _mean(rows)


def _upsampled(views: list[View]) -> dict[str, float]:
    """As VGGT leaves it: a map of 518 x 518 with confidence, resized bilinearly."""
    import torch

    from models.depth_estimators.images import resized

    rows = []
    for number, view in enumerate(views):
        made = simulate(view.depth_m, view.instance_id, SEVERITIES["medium"], np.random.default_rng(number))
        made = np.where(np.isfinite(made), made, np.nanmax(made))
        small = resized(torch.from_numpy(made)[None], (518, 518), "bilinear")
        large = resized(small, view.depth_m.shape, "bilinear")[0].numpy()
        roughness = np.abs(np.gradient(np.log(large))[0])
        confidence = (1 + 20 * np.exp(-40 * roughness)).astype(np.float32)
        rows.append(_row(view, Prediction(large, confidence), "vggt"))
    return _mean(rows)


def _codings(view: View) -> dict[str, int]:
    """Bytes of one simulated map with other numbers of codes, and as files that others use."""
    made = simulate(view.depth_m, view.instance_id, SEVERITIES["medium"], np.random.default_rng(0))
    valid = np.isfinite(made)
    sizes = {}
    for bits in (16, 14, 12):
        log = np.log(made[valid])
        code = np.zeros(made.shape, np.uint16)
        code[valid] = 1 + np.rint((log - log.min()) / np.ptp(log) * (2**bits - 2))
        sizes[f"logarithm, {bits} bits"] = len(codecs.encode_planes(code))
    sizes["float32 npz"] = _npz_bytes(made)
    return sizes


def _npz_bytes(values: np.ndarray) -> int:
    import io

    sink = io.BytesIO()
    np.savez_compressed(sink, a=values)
    return len(sink.getvalue())


def _fits(views: list[View]) -> dict[str, dict[str, float]]:
    """Mean AbsRel over the pixels outside a block whose depth is doubled, for several ways to fit scale and shift."""
    found: dict[str, dict[str, float]] = {}
    for share in (0.0, 0.2, 0.4):
        errors: dict[str, list[float]] = {name: [] for name in _FITS}
        for number, view in enumerate(views):
            for severity in SEVERITIES:
                rng = np.random.default_rng(number)
                made = simulate(view.depth_m, view.instance_id, SEVERITIES[severity], rng)
                sound = np.isfinite(made) & np.isfinite(view.depth_m)
                valid = sound.copy()
                side = int(made.shape[0] * share**0.5)
                row, column = rng.integers(0, made.shape[0] - side + 1, 2)
                made[row : row + side, column : column + side] *= 2
                sound[row : row + side, column : column + side] = False
                design = alignment._design(made[valid].astype(float), view.depth_m[valid].astype(float), "scale_shift")
                design = design[rng.choice(len(design), min(len(design), 32768), replace=False)]
                for name, fit in _FITS.items():
                    scale, shift = fit(design, np.random.default_rng(0))
                    depth = scale * made[sound] + shift
                    errors[name].append(float((np.abs(depth - view.depth_m[sound]) / view.depth_m[sound]).mean()))
        found[f"{share:.0%} wrong"] = {name: round(float(np.mean(values)), 4) for name, values in errors.items()}
    return found


def _least_squares(design: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.linalg.lstsq(design, np.ones(len(design)), rcond=None)[0]


def _least_absolute(design: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    solution = _least_squares(design, rng)
    for _ in range(20):
        weight = np.abs(design @ solution - 1).clip(1e-3) ** -0.5
        solution = np.linalg.lstsq(design * weight[:, None], weight, rcond=None)[0]
    return solution


_FITS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "least squares": _least_squares,
    "least absolute (reweighted)": _least_absolute,
    "consensus alone": alignment._consensus,
    "consensus, then trimmed (ours)": lambda design, rng: alignment._trimmed(design, alignment._consensus(design, rng))[
        0
    ],
}


def _networks(view: View) -> dict[str, float]:
    import torch
    from transformers.models.depth_anything import DepthAnythingConfig, DepthAnythingForDepthEstimation
    from transformers.models.dinov2 import Dinov2Config

    from models.depth_estimators.depth_anything_v2 import DepthAnythingV2, Preparation
    from models.depth_estimators.moge2 import Moge2
    from models.registry import build

    torch.set_num_threads(1)
    sizes = {
        "depth_anything_v2_small": (384, 12, 6, [3, 6, 9, 12], [48, 96, 192, 384], 64),
        "depth_anything_v2": (1024, 24, 16, [5, 12, 18, 24], [256, 512, 1024, 1024], 256),
    }
    seconds = {}
    for name, (width, layers, heads, out, neck, fusion) in sizes.items():
        backbone = Dinov2Config(
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            image_size=518,
            patch_size=14,
            out_indices=out,
            reshape_hidden_states=False,
        )
        config = DepthAnythingConfig(
            backbone_config=backbone,
            reassemble_hidden_size=width,
            neck_hidden_sizes=neck,
            fusion_hidden_size=fusion,
        )
        estimator = DepthAnythingV2(DepthAnythingForDepthEstimation(config).eval(), Preparation(), batch_size=1)
        seconds[name] = round(_timed(lambda e=estimator: e([view.rgb]))[0], 1)
    keys = json.loads(next(Path("tests/parity/fixtures/keys").glob("moge2_vitl_normal*.json")).read_text())
    network = build("MoGeModel", keys["kwargs"]).eval()
    seconds["moge2"] = round(_timed(lambda: Moge2(network, batch_size=1)([view.rgb]))[0], 1)
    return seconds


if __name__ == "__main__":
    main()
