"""Completion on one GPU: seconds an instance by step, and memory, at 1, 20 and 100 instances.

    python tests/benchmarks/gpu_completion.py [--size official] [--instances 1 20 100] [--memory-gb 24] [--out FILE]

--memory-gb: what completion is told to stay within, and more of which the device does not give to this process.

Networks of the official sizes with random weights, official samplers (25 steps, guidance 5). The structure decoder's
bias is set so that a random latent leaves about as many voxels as an object has; they lie scattered, not on a surface,
which makes the SLAT and mesh steps dearer than for real objects. Cleaning such meshes, which is work of the CPU, would
be dearer still and is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from models.compat import MENDED  # noqa: E402
from models.completer import StructureCompleter  # noqa: E402
from models.execution import DEFAULT_EXECUTION  # noqa: E402
from models.gaussian_decoder import GaussianDecoder  # noqa: E402
from models.mesh_decoder import MeshDecoder  # noqa: E402
from models.slat_flow import SLatFlow  # noqa: E402
from models.structure_flow import SparseStructureFlow  # noqa: E402
from models.structure_vae import SparseStructureDecoder, SparseStructureEncoder  # noqa: E402
from models.texturer import Texturer  # noqa: E402
from models.weights import freeze  # noqa: E402
from pipelines.complete import Camera, FixerPipeline, Settings  # noqa: E402
from pipelines.complete.compute_device import ComputeDevice  # noqa: E402
from pipelines.complete.networks import FixerNetworks  # noqa: E402
from pipelines.complete.results import Samplers  # noqa: E402
from pipelines.complete.steps.structure import StructureNetworks  # noqa: E402
from pipelines.complete.steps.texture import TextureNetworks  # noqa: E402
from pipelines.latent_statistics import OFFICIAL_SLAT  # noqa: E402
from tests.benchmarks.complete import discs  # noqa: E402
from tests.benchmarks.official_size import System, stirred  # noqa: E402

OCCUPIED_SHARE = 0.02  # of 64^3 voxels: 5,000


def networks(system: System) -> FixerNetworks:
    sizes, encoders = system.sizes, system.encoders
    with system.device:
        flow = freeze(stirred(SparseStructureFlow(sizes.structure_flow)))
        slat_flow = freeze(stirred(SLatFlow(sizes.slat_flow)))
        encoder = freeze(SparseStructureEncoder(sizes.structure_encoder))
        decoder = freeze(occupying(SparseStructureDecoder(sizes.structure_decoder)))
        branches = [stirred(StructureCompleter(sizes.completer).start_from(flow)) for _ in range(2)]
        texturer = freeze(stirred(Texturer(sizes.texturer).start_from(slat_flow)))
        return FixerNetworks(
            title=f"random weights of the {sizes.name} size, never trained",
            encoders=encoders,
            coarse=StructureNetworks(flow, freeze(branches[0]), encoder, decoder),
            fine=StructureNetworks(flow, freeze(branches[1]), encoder, decoder),
            texture=TextureNetworks(slat_flow, texturer, OFFICIAL_SLAT, encoders.sizes),
            mesh_decoder=freeze(stirred(MeshDecoder(sizes.mesh_decoder))),
            gaussian_decoder=freeze(stirred(GaussianDecoder(sizes.gaussian_decoder))),
            samplers=Samplers(),
            reference_compat=MENDED,
        )


@torch.no_grad()
def occupying(decoder: SparseStructureDecoder) -> SparseStructureDecoder:
    """Its bias leaves OCCUPIED_SHARE of a random latent's voxels."""
    decoder = stirred(decoder)
    logits = decoder(torch.randn(2, 8, 16, 16, 16))
    decoder.out_layer[2].bias -= torch.quantile(logits.flatten()[::8], 1 - OCCUPIED_SHARE)
    return decoder


def measure(pipe: FixerPipeline, count: int, settings: Settings, memory_gb: float | None = None) -> dict[str, Any]:
    rgb, ids, depth = discs(count)
    camera = Camera.from_fov(1.0, (rgb.shape[1], rgb.shape[0]))
    cuda = pipe.compute.device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    result = pipe(rgb, ids, depth, camera, settings=settings, memory_gb=memory_gb)
    wall_s = time.perf_counter() - started
    fine = [len(one.fine_V3) for one in result.instances if one.fine_V3 is not None]
    return {
        "instances": count,
        "outcomes": {o: sum(one.outcome == o for one in result.instances) for o in ("completed", "skipped", "failed")},
        "reasons": sorted({one.reason for one in result.instances if one.reason})[:3],
        "fine_voxels_mean": round(sum(fine) / max(len(fine), 1)),
        "seconds": round(wall_s, 2),
        "seconds_per_instance": round(wall_s / count, 3),
        "seconds_per_instance_by_step": {name: round(s / count, 4) for name, s in result.seconds.items()},
        "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 1) if cuda else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("official", "small", "tiny"), default="official")
    parser.add_argument("--instances", type=int, nargs="+", default=[1, 20, 100])
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--memory-gb", type=float)
    parser.add_argument("--gaussians", action="store_true", help="decode Gaussians too")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    compute = ComputeDevice.choose("auto")
    if given.memory_gb and compute.device.type == "cuda":
        whole = torch.cuda.get_device_properties(compute.device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, given.memory_gb * 1e9 / whole))
    system = System.of(given.size, compute.device, DEFAULT_EXECUTION)
    pipe = FixerPipeline(networks(system), compute)
    settings = Settings(samplers=Samplers().with_all(steps=given.steps), gaussians=given.gaussians, clean=False)
    measure(pipe, 2, settings)  # warms up kernels
    result: dict[str, Any] = {
        "command": " ".join(["python tests/benchmarks/gpu_completion.py", *sys.argv[1:]]),
        "date": date.today().isoformat(),
        "device": torch.cuda.get_device_name() if compute.device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "networks": pipe.networks.title,
        "sampler_steps": given.steps,
        "memory_gb": given.memory_gb,
        "rows": [],
    }
    for count in given.instances:
        row = measure(pipe, count, settings, given.memory_gb)
        print(json.dumps(row), flush=True)
        result["rows"].append(row)
        if given.out:
            given.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
