"""Coarse and fine step: visible voxels → completed voxels, by the Coarse Structure Completer and the Fine Shape
Refiner. The two differ only in their cube and their weights.

Shapes: B instances, R latent grid edge, V voxels, T tokens, D their width.
Source: 3D-Fixer supplement section 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.completer import CompleterCondition, StructureCompleter
from models.structure_flow import SparseStructureFlow
from models.structure_vae import SparseStructureDecoder, SparseStructureEncoder
from pipelines.complete.results import InstanceFailure, StepDone
from pipelines.complete.steps.encode import stacked
from pipelines.complete.steps.thinning import ridge
from pipelines.conditioning import structure_condition
from pipelines.encoders.protocol import SceneFeatures
from pipelines.samplers import TIME_SCALE, SamplerConfig, VelocityPair, euler_steps
from pipelines.voxelise import VoxelGrid


@dataclass(frozen=True)
class StructureNetworks:
    """The frozen base flow, the branch that completes, and the structure VAE."""

    base: SparseStructureFlow
    branch: StructureCompleter
    encoder: SparseStructureEncoder
    decoder: SparseStructureDecoder


@dataclass(frozen=True)
class StructureJob:
    """One instance in its cube. partial: its visible voxels. noise_CRRR: where the flow starts."""

    instance_id: int
    tokens_4TD: Tensor
    partial: VoxelGrid
    noise_CRRR: Tensor


def complete_structure(
    networks: StructureNetworks,
    jobs: Sequence[StructureJob],
    scene: SceneFeatures,
    depth_ratio: float,
    sampler: SamplerConfig,
    step_done: StepDone,
    thin: bool = False,
) -> list[Tensor | InstanceFailure]:
    """(V, 3) uint8 voxels on the CPU for each job, sorted by x, y, z; or why there are none.

    depth_ratio: share of the depth that is estimated. thin: keep only the middle of thick walls.
    """
    device, base, branch = scene.tokens_BDhw.device, networks.base, networks.branch
    cond = branch.prepare(_condition(networks, jobs, scene), base)
    ratio_B = torch.full((len(jobs),), TIME_SCALE * depth_ratio, device=device)
    x = torch.stack([job.noise_CRRR for job in jobs]).to(device)
    steps = euler_steps(
        lambda x, t_B: branch(x, t_B, cond, ratio_B, base), x, len(jobs), sampler, pair=_pair(networks, cond, ratio_B)
    )
    for number, step in enumerate(steps, start=1):
        x = step.x_t
        step_done(number)
    pairs = zip(networks.decoder(x)[:, 0], x, strict=True)
    return [_voxels(logits_RRR, latent, thin) for logits_RRR, latent in pairs]


def _condition(networks: StructureNetworks, jobs: Sequence[StructureJob], scene: SceneFeatures) -> CompleterCondition:
    device = scene.tokens_BDhw.device
    partial_B1RRR = torch.stack([job.partial.occupancy()[None] for job in jobs]).to(device)
    latent, _ = networks.encoder(partial_B1RRR)
    return structure_condition(
        stacked([job.tokens_4TD for job in jobs], device),
        scene.tokens_BDhw.expand(len(jobs), -1, -1, -1),
        latent.float(),
        torch.stack([job.partial.folded_confidence() for job in jobs]).to(device),
    )


def _pair(networks: StructureNetworks, cond: CompleterCondition, ratio_B: Tensor) -> VelocityPair:
    """Velocities with and without the condition, in one batch."""
    both, twice_ratio = cond.with_negative(), torch.cat([ratio_B, ratio_B])

    def pair(x: Tensor, t_B: Tensor) -> tuple[Tensor, Tensor]:
        v = networks.branch(torch.cat([x, x]), torch.cat([t_B, t_B]), both, twice_ratio, networks.base)
        with_condition, without = v.chunk(2)
        return with_condition, without

    return pair


def _voxels(logits_RRR: Tensor, latent_CRRR: Tensor, thin: bool) -> Tensor | InstanceFailure:
    if not bool(latent_CRRR.isfinite().all()):
        return InstanceFailure(
            "the sampled latent is not finite; check the checkpoint, or try fixer-complete --precision fp32"
        )
    voxels_V3 = (logits_RRR > 0).nonzero()
    if len(voxels_V3) == 0:
        return InstanceFailure("the network left every voxel empty; another seed, mask or depth may help")
    return (ridge(logits_RRR, voxels_V3) if thin else voxels_V3).to(torch.uint8).cpu()
