"""Real networks of small size, with bases that look trained, and inputs for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.compat import MENDED, ReferenceCompat
from models.completer import CompleterCondition, StructureCompleter
from models.execution import DEFAULT_EXECUTION, Execution
from models.slat_flow import SLatFlow, SLatFlowConfig
from models.sparse.voxels import SparseTensor, VoxelSet
from models.structure_flow import FlowConfig, SparseStructureFlow
from models.texturer import Texturer, TexturerCondition, TexturerConfig
from models.weights import freeze

WIDTH, CONTEXT, EDGE, FEATURES = 32, 24, 4, 6
SHARED = {
    "in_channels": 8,
    "model_channels": WIDTH,
    "cond_channels": CONTEXT,
    "out_channels": 8,
    "num_heads": 2,
    "qk_rms_norm": True,
}
STRUCTURE = {**SHARED, "resolution": EDGE, "patch_size": 1}
SLAT = {**SHARED, "resolution": 16, "patch_size": 2, "io_block_channels": (16,)}


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """Every weight non-zero, as after training."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return network


def structure_base(num_blocks: int = 3, execution: Execution = DEFAULT_EXECUTION) -> SparseStructureFlow:
    return randomised(SparseStructureFlow(FlowConfig(num_blocks=num_blocks, **STRUCTURE), execution))


def slat_base(num_blocks: int = 3, execution: Execution = DEFAULT_EXECUTION) -> SLatFlow:
    return randomised(SLatFlow(SLatFlowConfig(num_blocks=num_blocks, **SLAT), execution))


def completer_pair(
    compat: ReferenceCompat = MENDED, execution: Execution = DEFAULT_EXECUTION
) -> tuple[StructureCompleter, SparseStructureFlow]:
    torch.manual_seed(0)
    base = freeze(structure_base(execution=execution), compat)
    branch = StructureCompleter(FlowConfig(num_blocks=2, **STRUCTURE), execution, compat)
    return branch.start_from(base), base


def texturer_pair(
    compat: ReferenceCompat = MENDED, execution: Execution = DEFAULT_EXECUTION
) -> tuple[Texturer, SLatFlow]:
    torch.manual_seed(0)
    base = freeze(slat_base(execution=execution), compat)
    config = TexturerConfig(num_blocks=2, cond_slat_channels=FEATURES, **SLAT)
    return Texturer(config, execution, compat).start_from(base), base


def completer_inputs(batch: int = 2, seed: int = 1) -> tuple[Tensor, Tensor, CompleterCondition, Tensor]:
    """Noisy latent, 1000 t, condition, 1000 alpha."""
    g = torch.Generator().manual_seed(seed)
    tokens = lambda n: torch.randn(batch, n, CONTEXT, generator=g)  # noqa: E731
    grid = lambda c: torch.randn(batch, c, EDGE, EDGE, EDGE, generator=g)  # noqa: E731
    cond = CompleterCondition(tokens(7), tokens(6), tokens(5), grid(8), grid(64).sigmoid(), tokens(5))
    return grid(8), torch.rand(batch, generator=g) * 1000, cond, torch.rand(batch, generator=g) * 1000


def random_voxels(lengths: tuple[int, ...] = (60, 45), edge: int = 16, seed: int = 2) -> VoxelSet:
    """Distinct voxels in random order."""
    g = torch.Generator().manual_seed(seed)
    rows = []
    for b, count in enumerate(lengths):
        cells = torch.randperm(edge**3, generator=g)[:count]
        xyz = torch.stack([cells // edge**2, cells // edge % edge, cells % edge], dim=1)
        rows.append(torch.cat([torch.full((count, 1), b), xyz], dim=1))
    return VoxelSet(torch.cat(rows).int(), len(lengths))


def texturer_inputs(
    lengths: tuple[int, ...] = (60, 45), seed: int = 3
) -> tuple[SparseTensor, Tensor, TexturerCondition, Tensor]:
    """Noisy latent, 1000 t, condition, 1000 visibility ratio."""
    g = torch.Generator().manual_seed(seed)
    voxels, batch = random_voxels(lengths), len(lengths)
    tokens = lambda n: torch.randn(batch, n, CONTEXT, generator=g)  # noqa: E731
    features = torch.randn(len(voxels), FEATURES, generator=g)
    cond = TexturerCondition(tokens(6), tokens(6), tokens(5), features, tokens(5))
    x = SparseTensor(torch.randn(len(voxels), 8, generator=g), voxels)
    return x, torch.rand(batch, generator=g) * 1000, cond, torch.rand(batch, generator=g) * 1000
