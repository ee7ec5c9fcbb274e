"""B: the SLAT flow on rotated assets, TRELLIS's own or a new one, conditioned on a clean view of the asset.

Shapes: B samples, S image edge, N voxels of all samples, T tokens, D their width, K views, H W their size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.layers.norms import layer_norm_32
from models.slat_flow import SLatFlow
from models.sparse.voxels import SparseTensor, VoxelSet
from pipelines.encoders.protocol import ImageEncoders
from pipelines.samplers import sample_euler
from pipelines.train.data.batches import LatentBatch
from pipelines.train.data.sources.latents import LatentSource
from pipelines.train.interfaces.loading import SampleSource, Split
from pipelines.train.interfaces.stage import Losses, TrainingModule
from pipelines.train.losses.flow import drop_rows
from pipelines.train.losses.per_voxel import voxel_mean_B
from pipelines.train.settings.recipes import SlatFlowRecipe
from pipelines.train.stages.context import StageBase, StageContext, StageEntry
from pipelines.train.stages.slat_common import (
    ORBIT_PX,
    SlatCodec,
    mean_psnr,
    orbit_BK3HW,
    sampled_beside_truth,
    slat_data,
    sparse_flow_point,
)


class SlatBaseModule(TrainingModule):
    """The flow transformer, and the frozen networks around it."""

    def __init__(self, flow: SLatFlow, codec: SlatCodec, encoders: ImageEncoders, recipe: SlatFlowRecipe) -> None:
        super().__init__()
        self.flow = flow
        self.codec = codec
        self._encoders, self._recipe = encoders, recipe

    def frozen(self) -> Iterable[nn.Module]:
        return (*self.codec.networks(), *self._encoders.networks())

    def blocks(self) -> Iterable[nn.Module]:
        return self.flow.blocks

    def forward(self, batch: LatentBatch) -> Losses:
        voxels = batch.voxels
        point = sparse_flow_point(self._recipe.path, self.codec.latent(batch, voxels), batch, voxels)
        tokens = drop_rows(self.tokens(batch), batch.drop_B < self._recipe.drop_condition)
        velocity = self.flow(SparseTensor(point.x_t, voxels), point.network_time_B, tokens).feats
        loss_B = voxel_mean_B((velocity.float() - point.velocity).square(), voxels.lengths)
        return Losses(loss_B, torch.ones_like(loss_B), time_B=point.t_B)

    @torch.no_grad()
    def tokens(self, batch: LatentBatch) -> Tensor:
        """[B, T, D]: image tokens of the clean views, after layer norm."""
        return layer_norm_32(self._encoders.image_tokens(_view(batch)))

    @torch.no_grad()
    def generate(self, batch: LatentBatch, voxels: VoxelSet) -> Tensor:
        """[N, 8]: normalised latents, sampled from the batch's own noise."""
        tokens = self.tokens(batch)
        no_tokens = torch.zeros_like(tokens)
        return sample_euler(
            lambda x, t_B: self.flow(SparseTensor(x, voxels), t_B, tokens).feats,
            batch.noise_N8,
            len(batch),
            self._recipe.sampler,
            negative=lambda x, t_B: self.flow(SparseTensor(x, voxels), t_B, no_tokens).feats,
        )


class SlatBaseStage(StageBase):
    """Implements `Stage`."""

    def __init__(self, entry: StageEntry, context: StageContext) -> None:
        super().__init__(entry, context)
        self.recipe = context.recipe_as(SlatFlowRecipe)

    def source(self, split: Split) -> SampleSource[Any]:
        return LatentSource(slat_data(self.context, self.recipe), split, self.context.seed)

    @cached_property
    def _module(self) -> SlatBaseModule:
        flow = self.context.trained("slat_flow", SLatFlow)
        return SlatBaseModule(flow, SlatCodec.of(self.context), self.context.encoders, self.recipe)

    def module(self) -> SlatBaseModule:
        return self._module

    def networks(self) -> Mapping[str, nn.Module]:
        return {"slat_flow": self._module.flow}

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "slat_normalization": self._module.codec.statistics.to_json()}

    def measure(self, module: SlatBaseModule, batches: Iterable[LatentBatch]) -> Mapping[str, Sequence[float]]:
        """psnr: of decoded samples against decoded true latents, from several sides.

        psnr_of_mean: the same for the mean latent in all voxels, a baseline that does not depend on the image.
        """
        rows: dict[str, list[float]] = {"psnr": [], "psnr_of_mean": []}
        for batch in batches:
            voxels = batch.voxels
            latent_N8 = module.codec.latent(batch, voxels)
            truth = orbit_BK3HW(module.codec.decode(latent_N8, voxels), ORBIT_PX)
            for name, sampled_N8 in (
                ("psnr", module.generate(batch, voxels)),
                ("psnr_of_mean", torch.zeros_like(latent_N8)),
            ):
                rows[name] += mean_psnr(orbit_BK3HW(module.codec.decode(sampled_N8, voxels), ORBIT_PX), truth)
        return rows

    def snapshot(self, module: SlatBaseModule, batch: LatentBatch, folder: Path) -> list[Path]:
        """Clean view, and sampled and true latent, both decoded; a row for each object."""
        voxels = batch.voxels
        true, sampled = module.codec.latent(batch, voxels), module.generate(batch, voxels)
        path = folder / "generated.png"
        sampled_beside_truth(module.codec, sampled, true, voxels, {"view": _view(batch)}).save(path)
        return [path]


def _view(batch: LatentBatch) -> Tensor:
    """[B, 3, S, S] float32: the clean views. Raises ValueError if there are none."""
    if batch.image_B3SS is None:
        raise ValueError("the SLAT base is trained on clean views; its samples have none")
    return batch.image_B3SS
