"""How many instances are computed at once: as many as a memory budget allows, fewer if the device says so.

Shapes: L tokens of a grid, N voxels, M context tokens, C width.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from models.completer import StructureCompleter
from models.mesh_decoder import MeshDecoder
from models.slat_flow import SLatFlow
from models.structure_flow import SparseStructureFlow
from models.structure_vae import SparseStructureDecoder
from models.texturer import Texturer
from pipelines.complete.results import InstanceFailure

Item = TypeVar("Item")
Result = TypeVar("Result")

CUDA_SHARE = 0.8  # of the memory that is free once the networks are loaded
CPU_BYTES = 4 << 30
FLOAT_BYTES = 4
# Tensors of one width that live at the same time, measured with tests/benchmarks/complete.py.
BLOCK_TENSORS = 14
GRID_TENSORS = 6
VOXEL_TENSORS = 10


@dataclass(frozen=True)
class MemoryBudget:
    """bytes: for what grows with the number of instances in a batch."""

    bytes: int

    @classmethod
    def of(cls, device: torch.device, gigabytes: float | None) -> MemoryBudget:
        """gigabytes: what the caller allows; None for most of what is free on a GPU, 4 GiB on the CPU."""
        if gigabytes is not None:
            return cls(int(gigabytes * 2**30))
        if device.type == "cuda":
            return cls(int(torch.cuda.mem_get_info(device)[0] * CUDA_SHARE))
        return cls(CPU_BYTES)


class OutOfMemory(InstanceFailure):
    """One instance alone does not fit into the device's memory."""


def in_batches(
    items: Sequence[Item],
    cost: Callable[[Item], int],
    budget: MemoryBudget,
    run: Callable[[Sequence[Item]], Sequence[Result | InstanceFailure]],
) -> list[Result | InstanceFailure]:
    """`run` on batches of consecutive items within the budget, one item at least; results in the items' order.

    A batch for which the device's memory does not suffice is halved; an item that fails alone has an OutOfMemory as
    its result.
    """
    results: list[Result | InstanceFailure] = []
    limit = len(items)
    while len(results) < len(items):
        batch = _next_batch(items[len(results) :], cost, budget.bytes, limit)
        try:
            results += run(batch)
            continue
        except torch.OutOfMemoryError as error:
            message = str(error)
        # Outside of the handler, whose traceback keeps the batch's tensors alive.
        torch.cuda.empty_cache()
        if len(batch) == 1:
            results.append(OutOfMemory(f"it does not fit into the memory of the device: {message}"))
        limit = max(len(batch) // 2, 1)
    return results


def _next_batch(items: Sequence[Item], cost: Callable[[Item], int], budget: int, limit: int) -> Sequence[Item]:
    size, used = 0, 0
    for item in items[:limit]:
        used += cost(item)
        if size and used > budget:
            break
        size += 1
    return items[:size]


def structure_bytes(
    base: SparseStructureFlow, branch: StructureCompleter, decoder: SparseStructureDecoder, tokens: int, scene: int
) -> int:
    """Of one instance in a structure stage. tokens, scene: of one image, of the scene."""
    c, width = base.config, base.config.model_channels
    grid = (c.resolution // c.patch_size) ** 3
    guided_blocks = 2 * BLOCK_TENSORS * grid * width
    contexts = len(base.blocks) * tokens + len(branch.blocks) * (3 * tokens + scene)
    keys_values = 2 * contexts * width
    widest = max(w * (4 * c.resolution >> level) ** 3 for level, w in enumerate(reversed(decoder.config.channels)))
    return FLOAT_BYTES * max(guided_blocks + keys_values, GRID_TENSORS * widest)


def texture_bytes(base: SLatFlow, branch: Texturer, tokens: int, voxels: int) -> int:
    """Of one instance with so many voxels in the texture stage."""
    c, width = base.config, base.config.model_channels
    in_blocks = 2 * BLOCK_TENSORS * (voxels // c.patch_size**2) * width
    in_grid = 2 * VOXEL_TENSORS * voxels * c.io_width
    keys_values = 2 * tokens * width * (len(base.blocks) + 2 * len(branch.blocks))
    return FLOAT_BYTES * (in_blocks + in_grid + keys_values)


def mesh_bytes(decoder: MeshDecoder, voxels: int) -> int:
    """Of one instance with so many voxels in the mesh decoder, whose last level has 64 times as many."""
    return FLOAT_BYTES * VOXEL_TENSORS * 64 * voxels * (decoder.config.model_channels // 8)


def peak_bytes(device: torch.device) -> int | None:
    """The most memory in use so far: of the device on CUDA, of the process on the CPU; None where nobody counts."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return None
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
