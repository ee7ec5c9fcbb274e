"""Memory: how much there is for a batch, how much an instance needs in each step, and how much was used."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch

from models.completer import StructureCompleter
from models.mesh_decoder import MeshDecoder
from models.slat_flow import SLatFlow
from models.structure_flow import SparseStructureFlow
from models.structure_vae import SparseStructureDecoder
from models.texturer import Texturer

CUDA_SHARE = 0.8  # of the memory that is free after the networks were loaded
CPU_BYTES = 4 << 30
FLOAT_BYTES = 4
# Tensors of one width that exist at the same time, measured with tests/benchmarks/complete.py.
BLOCK_TENSORS = 14
GRID_TENSORS = 6
VOXEL_TENSORS = 10


@dataclass(frozen=True)
class MemoryBudget:
    """bytes: for all that grows with the number of instances in a batch."""

    bytes: int

    @classmethod
    def of(cls, device: torch.device, gigabytes: float | None) -> MemoryBudget:
        """gigabytes: what the caller allows; None for most of what is free on a GPU, or 4 GiB on the CPU."""
        if gigabytes is not None:
            return cls(int(gigabytes * 2**30))
        if device.type == "cuda":
            return cls(int(torch.cuda.mem_get_info(device)[0] * CUDA_SHARE))
        return cls(CPU_BYTES)


def structure_bytes(
    base: SparseStructureFlow, branch: StructureCompleter, decoder: SparseStructureDecoder, tokens: int, scene: int
) -> int:
    """What one instance needs in a structure step. tokens: those of one image. scene: tokens of the scene."""
    c, width = base.config, base.config.model_channels
    grid = (c.resolution // c.patch_size) ** 3
    guided_blocks = 2 * BLOCK_TENSORS * grid * width
    contexts = len(base.blocks) * tokens + len(branch.blocks) * (3 * tokens + scene)
    keys_values = 2 * contexts * width
    widest = max(w * (4 * c.resolution >> level) ** 3 for level, w in enumerate(reversed(decoder.config.channels)))
    return FLOAT_BYTES * max(guided_blocks + keys_values, GRID_TENSORS * widest)


def texture_bytes(base: SLatFlow, branch: Texturer, tokens: int, voxels: int) -> int:
    """What one instance with this number of voxels needs in the texture step. tokens: those of one image."""
    c, width = base.config, base.config.model_channels
    in_blocks = 2 * BLOCK_TENSORS * (voxels // c.patch_size**2) * width
    in_grid = 2 * VOXEL_TENSORS * voxels * c.io_width
    keys_values = 2 * tokens * width * (len(base.blocks) + 2 * len(branch.blocks))
    return FLOAT_BYTES * (in_blocks + in_grid + keys_values)


def mesh_bytes(decoder: MeshDecoder, voxels: int) -> int:
    """What one instance with this number of voxels needs in the mesh decoder, whose last level has 64 times as many."""
    return FLOAT_BYTES * VOXEL_TENSORS * 64 * voxels * (decoder.config.model_channels // 8)


def peak_bytes(device: torch.device) -> int | None:
    """The most memory in use so far: of the device on CUDA, of the process on the CPU; None on Windows."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return None
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
