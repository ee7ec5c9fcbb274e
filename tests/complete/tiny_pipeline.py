"""A checkpoint of every network in the official pipeline layout, tiny and with random weights, for tests.

    python tests/complete/tiny_pipeline.py FOLDER

Its title says what it is, and everything that is made with it carries that title.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn

from models.checkpoints import write_pipeline
from models.completer import StructureCompleter
from models.gaussian_decoder import GaussianDecoder
from models.mesh_decoder import MeshDecoder
from models.slat_flow import SLatFlow
from models.structure_flow import SparseStructureFlow
from models.structure_vae import SparseStructureDecoder, SparseStructureEncoder
from models.texturer import Texturer
from pipelines.complete import networks as keys
from pipelines.encoders.registry import load_encoders
from pipelines.train.settings.sizes import system_sizes

TITLE = "random weights, never trained (tests)"
OCCUPIED_SHARE = 0.001  # of the 64^3 voxels that a random decoder leaves occupied: some hundred
IMAGE_PX = 64


def write_tiny_pipeline(folder: Path, seed: int = 0, steps: int = 3) -> Path:
    """The folder, with `pipeline.json` and `ckpts/`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = _networks()
    sampler = {
        "name": "FlowEulerGuidanceIntervalSampler",
        "args": {"sigma_min": 1e-5},
        "params": {"steps": steps, "cfg_strength": 5.0, "cfg_interval": [0.5, 1.0], "rescale_t": 3.0},
    }
    args = {
        "sparse_structure_sampler": sampler,
        "coarse_sparse_structure_sampler": sampler,
        "slat_sampler": sampler,
        "slat_normalization": {"mean": [0.1] * 8, "std": [1.5] * 8},
        "encoders": {"name": "efficientnet_lite0", "image_px": IMAGE_PX},
        "title": TITLE,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_pipeline(folder, "ThreeDFixerPipeline", networks, args)
    return folder


def as_half_precision_pt(folder: Path) -> None:
    """Rewrite the weights as the released ones may come: `.pt`, half precision."""
    from safetensors.torch import load_file

    for file in (folder / "ckpts").glob("*.safetensors"):
        state = {name: value.half() if value.is_floating_point() else value for name, value in load_file(file).items()}
        torch.save(state, file.with_suffix(".pt"))
        file.unlink()


def _networks() -> dict[str, nn.Module]:
    sizes = system_sizes("tiny", load_encoders("efficientnet_lite0", image_px=IMAGE_PX).sizes)
    flow = _stirred(SparseStructureFlow(sizes.structure_flow))
    slat_flow = _stirred(SLatFlow(sizes.slat_flow))
    return {
        keys.STRUCTURE_ENCODER: _stirred(SparseStructureEncoder(sizes.structure_encoder)),
        keys.STRUCTURE_DECODER: _sparse(_stirred(SparseStructureDecoder(sizes.structure_decoder))),
        keys.STRUCTURE_FLOW: flow,
        keys.COARSE_BRANCH: _stirred(StructureCompleter(sizes.completer).start_from(flow)),
        keys.FINE_BRANCH: _stirred(StructureCompleter(sizes.completer).start_from(flow)),
        keys.SLAT_FLOW: slat_flow,
        keys.TEXTURE_BRANCH: _stirred(Texturer(sizes.texturer).start_from(slat_flow)),
        keys.GAUSSIAN_DECODER: _stirred(GaussianDecoder(sizes.gaussian_decoder)),
        keys.MESH_DECODER: _stirred(MeshDecoder(sizes.mesh_decoder)),
    }


def _stirred(network: nn.Module) -> nn.Module:
    """Nothing exactly zero, as after training."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.03 * torch.randn_like(parameter)
    return network


@torch.no_grad()
def _sparse(decoder: nn.Module) -> nn.Module:
    """A bias with which about OCCUPIED_SHARE of the voxels come out occupied."""
    logits = decoder(torch.randn(4, 8, 16, 16, 16))
    decoder.out_layer[2].bias -= torch.quantile(logits.flatten()[::8], 1 - OCCUPIED_SHARE)
    return decoder


if __name__ == "__main__":
    print(f"wrote {write_tiny_pipeline(Path(sys.argv[1]))}: {TITLE}")  # noqa: T201
