"""Networks and operators against the obvious ways to compute the same: same weights, same input, one run.

python tests/benchmarks/models_speed.py [--repeats 3] [--out tests/benchmarks/results/models_speed.json]

Times are CPU seconds of one thread (best of the repeats, the ways taking turns), so that a busy machine does not
distort them. A ratio above 1 says how many times as fast as that way ours is.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor, nn

ROOT = Path(__file__).parents[2]
sys.path[:0] = [
    str(ROOT),
    str(ROOT / "tests" / "models"),
    str(Path(__file__).parent),
]

import models_naive as naive  # noqa: E402
from flexicubes_scenes import resident_mb, sphere_cubes  # noqa: E402

from models.flexicubes.extraction import extract_mesh  # noqa: E402
from models.layers.blocks import TransformerBlock  # noqa: E402
from models.layers.tokens import SparseTokens  # noqa: E402
from models.slat_flow import SLatFlow, SLatFlowConfig  # noqa: E402
from models.sparse.conv import reference_conv  # noqa: E402
from models.sparse.neighbours import neighbour_map  # noqa: E402
from models.sparse.voxels import SparseTensor, VoxelSet  # noqa: E402
from models.structure_flow import FlowConfig, SparseStructureFlow  # noqa: E402

Way = Callable[[], Tensor]
WIDTH, HEADS, CONTEXT = 256, 4, 137


def timed(ways: dict[str, Way], repeats: int, backward: bool) -> dict[str, float]:
    """CPU seconds per way; all must agree on the result."""
    best = dict.fromkeys(ways, float("inf"))
    results = {}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            start = time.process_time()
            out = way()
            if backward:
                out.square().mean().backward()
            best[name] = min(best[name], time.process_time() - start)
            results[name] = out.detach()
    first = next(iter(results.values()))
    for name, result in results.items():
        torch.testing.assert_close(result, first, rtol=1e-3, atol=1e-3, msg=lambda m, name=name: f"{name}: {m}")
    return best


def compared(ways: dict[str, Way], repeats: int, training: bool = True) -> dict[str, dict[str, float]]:
    """Forward, and forward with backward: seconds and the ratio of each way to ours (the first)."""
    report = {}
    with torch.no_grad():
        report["forward"] = timed(ways, repeats, backward=False)
    if training:
        report["forward_backward"] = timed({k: v for k, v in ways.items() if "spconv" not in k}, repeats, backward=True)
    for seconds in report.values():
        ours = seconds[next(iter(ways))]
        seconds |= {f"ratio to {name}": value / ours for name, value in list(seconds.items())[1:]}
    return {kind: {name: round(value, 4) for name, value in seconds.items()} for kind, seconds in report.items()}


def randomised(network: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return network


def shell(count: int, edge: int, batch: int = 0, seed: int = 0) -> Tensor:
    """[count, 4] voxels around a sphere, nearest to its surface first: as many neighbours as real objects have."""
    grid = torch.cartesian_prod(*(torch.arange(edge),) * 3)
    radius = (count / (4 * torch.pi * 2)) ** 0.5
    distance = ((grid - (edge - 1) / 2).float().norm(dim=1) - radius).abs()
    chosen = grid[distance.argsort()[:count]]
    chosen = chosen[torch.randperm(count, generator=torch.Generator().manual_seed(seed))]
    return torch.cat([torch.full((count, 1), batch), chosen], dim=1).int()


def dense_flow(repeats: int) -> dict:
    """512 tokens, 4 samples, 4 blocks."""
    config = FlowConfig(8, 8, WIDTH, WIDTH, 8, 4, HEADS, patch_size=1, qk_rms_norm=True)
    network = randomised(SparseStructureFlow(config))
    x, t, context = torch.randn(4, 8, 8, 8, 8), torch.rand(4) * 1000, torch.randn(4, CONTEXT, WIDTH)

    def loop() -> Tensor:
        with patch("models.layers.tokens.dense_attention", naive.explicit_attention):
            return torch.cat([network(x[i : i + 1], t[i : i + 1], context[i : i + 1]) for i in range(4)])

    return compared({"ours": lambda: network(x, t, context), "loop over samples, explicit softmax": loop}, repeats)


def sparse_flow(repeats: int) -> dict:
    """Four objects of 600 to 3,000 voxels in one batch, 4 blocks between sparse convolutions."""
    config = SLatFlowConfig(32, 8, WIDTH, WIDTH, 8, 4, HEADS, patch_size=2, qk_rms_norm=True, io_block_channels=(64,))
    network = randomised(SLatFlow(config))
    counts = (600, 1200, 2000, 3000)
    coords = [shell(count, 32, b, seed=b) for b, count in enumerate(counts)]
    feats = [torch.randn(count, 8) for count in counts]
    t, context = torch.rand(4) * 1000, torch.randn(4, CONTEXT, WIDTH)
    together = SparseTensor.from_coords(torch.cat(feats), torch.cat(coords))
    alone = [SparseTensor.from_coords(f, c * torch.tensor([0, 1, 1, 1])) for f, c in zip(feats, coords, strict=True)]

    def ours() -> Tensor:
        return network(together, t, context).feats

    def loop() -> Tensor:
        with patch("models.sparse.segments.dense_attention", naive.explicit_attention):
            parts = [network(x, t[i : i + 1], context[i : i + 1]).feats for i, x in enumerate(alone)]
        return torch.cat(parts)

    def padded() -> Tensor:
        def tokens(h: SparseTensor) -> SparseTokens:
            plan = naive.PaddedAttention(h.voxels.items)
            return SparseTokens(h.voxels, plan, plan)

        with patch.object(network, "tokens", tokens):
            return network(together, t, context).feats

    return compared(
        {"ours": ours, "loop over samples, explicit softmax": loop, "padding to the longest": padded}, repeats
    )


def windowed_attention(repeats: int) -> dict:
    """One block of the SLAT autoencoder on 12,000 voxels of a 64^3 grid, windows of 8^3."""
    voxels = VoxelSet(shell(12_000, 64))
    block = randomised(TransformerBlock(WIDTH, HEADS, 4.0))
    x = torch.randn(len(voxels), WIDTH)
    segments = voxels.windows(8, 4)
    ours = SparseTokens.windowed(voxels, 8, 4)
    ways = {
        "ours": lambda: block(x, ours),
        "loop over windows": lambda: block(x, replace(ours, within=naive.LoopedAttention(segments))),
        "padding to the longest": lambda: block(x, replace(ours, within=naive.PaddedAttention(segments))),
    }
    report = compared(ways, repeats)
    lengths = segments.lengths
    return {"windows": len(lengths), "longest": max(lengths), "mean": round(sum(lengths) / len(lengths), 1), **report}


def convolution(count: int, repeats: int, channels: int = 64) -> dict:
    """3x3x3 submanifold convolution, 64 to 64 channels, on a 64^3 grid."""
    voxels = VoxelSet(shell(count, 64))
    feats = torch.randn(count, channels, requires_grad=True)
    weight = (torch.randn(channels, 3, 3, 3, channels) * 0.02).requires_grad_()
    bias = torch.randn(channels, requires_grad=True)
    table = naive.neighbour_table(voxels, 64)
    pairs = sum(len(rows) for _, rows, _ in neighbour_map(voxels).pairs)
    ways: dict[str, Way] = {
        "ours": lambda: reference_conv(feats, weight, bias, voxels),
        "27 gathered neighbours, one product": lambda: naive.gathered_conv(feats, weight, bias, table),
        "dense conv3d": lambda: naive.dense_grid_conv(feats, weight, bias, voxels, 64),
    }
    if importlib.util.find_spec("spconv"):
        from models.sparse.spconv_backend import spconv_conv

        ways["spconv (CPU)"] = lambda: spconv_conv(feats, weight, bias, voxels)
    return {"neighbours_a_voxel": round(pairs / count, 1), **compared(ways, repeats)}


def mesh_in_own_process(resolution: int, way: str) -> dict:
    command = [sys.executable, __file__, "--mesh", str(resolution), way]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_mesh(resolution: int, way: str) -> dict:
    feats, cubes = sphere_cubes(resolution, 0.4)
    before = resident_mb("VmRSS")
    best = float("inf")
    with torch.no_grad():
        for _ in range(1 if resolution > 128 else 5):
            start = time.process_time()
            mesh = (
                extract_mesh(feats, cubes, resolution, use_color=True)
                if way == "ours"
                else naive.dense_grid_mesh(feats, cubes, resolution)
            )
            best = min(best, time.process_time() - start)
    peak = resident_mb("VmHWM")
    return {
        "seconds": round(best, 3),
        "peak_above_inputs_mb": round(peak - before),
        "inputs_mb": round(feats.nbytes / 2**20),
        "active_cubes": len(cubes),
        "faces": len(mesh.faces_F3),
        "vertex_checksum": round(mesh.vertices_V3.double().abs().sum().item(), 3),
    }


def flexicubes(resolution: int) -> dict:
    """A sphere with colours; each way in a process of its own."""
    ours, dense = (mesh_in_own_process(resolution, way) for way in ("ours", "dense"))
    if (ours["faces"], ours["vertex_checksum"]) != (dense["faces"], dense["vertex_checksum"]):
        raise RuntimeError(f"the two ways give different meshes: {ours} and {dense}")
    ratios = {key: round(dense[key] / max(ours[key], 1e-9), 2) for key in ("seconds", "peak_above_inputs_mb")}
    return {"ours": ours, "arrays over the whole grid": dense, "ratio": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", default="", help="run the sections whose name starts so, keep the others' results")
    parser.add_argument("--mesh", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if arguments.mesh:
        print(json.dumps(measure_mesh(int(arguments.mesh[0]), arguments.mesh[1])))
        return
    repeats = arguments.repeats
    sections: dict[str, Callable[[], dict]] = {
        "dense flow transformer": lambda: dense_flow(repeats),
        "sparse flow transformer": lambda: sparse_flow(repeats),
        "windowed attention block": lambda: windowed_attention(repeats),
        "convolution, 10,000 voxels": lambda: convolution(10_000, repeats),
        "convolution, 30,000 voxels": lambda: convolution(30_000, repeats),
        "FlexiCubes, 64^3": lambda: flexicubes(64),
        "FlexiCubes, 256^3": lambda: flexicubes(256),
    }
    report: dict[str, object] = {
        "command": "python tests/benchmarks/models_speed.py " + " ".join(sys.argv[1:]),
        "hardware": f"{platform.machine()}, one CPU thread, PyTorch {torch.__version__}",
        "date": date.today().isoformat(),
        "unit": "CPU seconds; ratios say how many times as fast ours is",
    }
    if arguments.only and arguments.out and arguments.out.exists():
        report = json.loads(arguments.out.read_text())
    for name, section in sections.items():
        if not name.startswith(arguments.only):
            continue
        report[name] = section()
        print(name, json.dumps(report[name], indent=1), flush=True)
        if arguments.out:
            arguments.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
