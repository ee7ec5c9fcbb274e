"""Texture step: fine voxels → a structured latent, by the Occlusion-Aware 3D Texturer.

Shapes: B instances, N voxels of all, n of one, S image edge, T tokens, D their width, Z latent channels.
Source: 3D-Fixer supplement section 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.compat import ReferenceCompat
from models.slat_flow import SLatFlow
from models.sparse.voxels import SparseTensor, VoxelSet
from models.texturer import Texturer, TexturerCondition
from pipelines.cameras import Projection, project
from pipelines.complete.results import InstanceFailure, StepDone
from pipelines.complete.steps.encode import stacked
from pipelines.complete.view import Frame, SceneView
from pipelines.conditioning import texture_condition
from pipelines.encoders.protocol import EncoderSizes, SceneFeatures
from pipelines.latent_statistics import SlatStatistics
from pipelines.samplers import TIME_SCALE, SamplerConfig, VelocityPair, euler_steps
from pipelines.visibility import VoxelViews, visibility_ratio, voxel_features
from pipelines.voxelise import voxel_centres

VISIBLE_WITHIN = 1.5  # voxel edges behind the observed surface


@dataclass(frozen=True)
class TextureNetworks:
    """statistics: those that latents are normalised with. sizes: of the image encoders."""

    base: SLatFlow
    branch: Texturer
    statistics: SlatStatistics
    sizes: EncoderSizes


@dataclass(frozen=True)
class FramedCamera:
    """The camera and the depth of the frame that the encoders see.

    T_world_cam: (4, 4) float64. K_norm: (3, 3) float64. depth_HW: float32 planar depth, NaN where it is unknown.
    """

    T_world_cam: Tensor
    K_norm: Tensor
    depth_HW: Tensor

    @classmethod
    def of(cls, view: SceneView, frame: Frame) -> FramedCamera:
        depth_HW = frame.apply(view.depth_HW, np.nan)
        return cls(
            T_world_cam=torch.from_numpy(np.asarray(view.camera.T_world_cam, np.float64)),
            K_norm=torch.from_numpy(frame.K_norm(np.asarray(view.camera.K_px, np.float64))),
            depth_HW=torch.from_numpy(np.where(depth_HW > 0, depth_HW, np.nan).astype(np.float32)),
        )


@dataclass(frozen=True)
class TextureJob:
    """One instance. T_world_grid: (4, 4), from the fine cube to the world. noise_NZ: where the flow starts."""

    instance_id: int
    tokens_4TD: Tensor
    voxels_N3: Tensor
    T_world_grid: Tensor
    scene_mask_SS: Tensor
    noise_NZ: Tensor


@dataclass(frozen=True)
class Latent:
    """A structured latent on the CPU. visible_share: the share of its voxels that are seen inside the mask."""

    instance_id: int
    voxels_N3: Tensor
    feats_NZ: Tensor
    visible_share: float


def texture(
    networks: TextureNetworks,
    jobs: Sequence[TextureJob],
    scene: SceneFeatures,
    camera: FramedCamera,
    sampler: SamplerConfig,
    step_done: StepDone,
) -> list[Latent | InstanceFailure]:
    """The denormalised latent of each job, for the decoders; or why there is none."""
    device, base, branch = scene.tokens_BDhw.device, networks.base, networks.branch
    voxels = batched_voxels([job.voxels_N3 for job in jobs], device)
    visible = _visibility(jobs, scene, camera, branch.reference_compat)
    cond = branch.prepare(_condition(networks, jobs, scene, visible.feats_NF), base)
    ratio_B = TIME_SCALE * visible.share_B
    x = torch.cat([job.noise_NZ for job in jobs]).to(device)
    steps = euler_steps(
        lambda x, t_B: branch(SparseTensor(x, voxels), t_B, cond, ratio_B, base).feats,
        x,
        len(jobs),
        sampler,
        pair=_pair(networks, jobs, cond, ratio_B),
    )
    for number, step in enumerate(steps, start=1):
        x = step.x_t
        step_done(number)
    latents = networks.statistics.restore(x).cpu().split(voxels.lengths)
    return [
        _latent(job, feats_NZ, share)
        for job, feats_NZ, share in zip(jobs, latents, visible.share_B.tolist(), strict=True)
    ]


def batched_voxels(voxels_B_n3: Sequence[Tensor], device: torch.device) -> VoxelSet:
    rows = [torch.cat([torch.full((len(v), 1), b), v.int()], dim=1) for b, v in enumerate(voxels_B_n3)]
    return VoxelSet(torch.cat(rows).int().to(device), len(rows))


@dataclass(frozen=True)
class _Visible:
    """feats_NF: image features at every voxel. share_B: share of an instance's voxels that are seen inside its mask."""

    feats_NF: Tensor
    share_B: Tensor


def _visibility(
    jobs: Sequence[TextureJob], scene: SceneFeatures, camera: FramedCamera, compat: ReferenceCompat
) -> _Visible:
    device = scene.detail_BFHW.device
    depth_HW = camera.depth_HW.to(device)
    views, shares = [], []
    for job in jobs:
        T = job.T_world_grid
        centres = voxel_centres(job.voxels_N3).double() @ T[:3, :3].T + T[:3, 3]
        seen = project(centres, camera.T_world_cam, camera.K_norm)
        edge = T[0, 0].item() / 64
        projection = Projection(seen.uv_P2.float().to(device), seen.depth_P.float().to(device))
        one = VoxelViews((projection,), (depth_HW,), VISIBLE_WITHIN * edge)
        shares.append(visibility_ratio(job.scene_mask_SS[None].to(device), one, compat))
        views.append(voxel_features(scene.detail_BFHW, one, compat))
    return _Visible(torch.cat(views), torch.cat(shares))


def _condition(
    networks: TextureNetworks, jobs: Sequence[TextureJob], scene: SceneFeatures, feats_NF: Tensor
) -> TexturerCondition:
    tokens = stacked([job.tokens_4TD for job in jobs], feats_NF.device)
    detail = scene.detail_BFHW
    tile = detail.shape[-1] // networks.sizes.scene_grid
    return texture_condition(tokens, detail.expand(len(jobs), -1, -1, -1), feats_NF, tile=tile)


def _pair(
    networks: TextureNetworks, jobs: Sequence[TextureJob], cond: TexturerCondition, ratio_B: Tensor
) -> VelocityPair:
    """Velocities with and without the condition, in one batch of twice as many instances."""
    twice = batched_voxels([job.voxels_N3 for job in jobs] * 2, ratio_B.device)
    both, twice_ratio = cond.with_negative(), torch.cat([ratio_B, ratio_B])

    def pair(x: Tensor, t_B: Tensor) -> tuple[Tensor, Tensor]:
        doubled = SparseTensor(torch.cat([x, x]), twice)
        v = networks.branch(doubled, torch.cat([t_B, t_B]), both, twice_ratio, networks.base).feats
        with_condition, without = v.chunk(2)
        return with_condition, without

    return pair


def _latent(job: TextureJob, feats_NZ: Tensor, share: float) -> Latent | InstanceFailure:
    if not bool(feats_NZ.isfinite().all()):
        return InstanceFailure(
            "the sampled texture latent is not finite; check the checkpoint, or try fixer-complete --precision fp32"
        )
    return Latent(job.instance_id, job.voxels_N3, feats_NZ, share)
