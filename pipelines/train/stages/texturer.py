"""H: the Occlusion-Aware 3D Texturer, a control branch over the frozen SLAT base.

Shapes: B samples, S image edge, N voxels of all samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.slat_flow import SLatFlow
from models.sparse.voxels import SparseTensor, VoxelSet
from models.texturer import Texturer, TexturerCondition
from pipelines.conditioning import encode_images, texture_condition
from pipelines.encoders.protocol import ImageEncoders
from pipelines.samplers import TIME_SCALE, sample_euler
from pipelines.train.data.batches import TextureBatch
from pipelines.train.data.sources.texture import TextureSource
from pipelines.train.interfaces.loading import SampleSource, Split
from pipelines.train.interfaces.stage import Losses, TrainingModule
from pipelines.train.losses.flow import drop_condition
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
from pipelines.train.stages.texture_views import psnr_in_view, voxel_views
from pipelines.visibility import visibility_ratio, voxel_features


@dataclass(frozen=True)
class Observation:
    """What the image shows of each object: the condition, and visible_B, the share of its voxels that are visible."""

    cond: TexturerCondition
    visible_B: Tensor


class TexturerModule(TrainingModule):
    """The control branch, which is trained, and the frozen networks around it."""

    def __init__(
        self, branch: Texturer, base: SLatFlow, codec: SlatCodec, encoders: ImageEncoders, recipe: SlatFlowRecipe
    ) -> None:
        super().__init__()
        self.branch = branch
        self.codec = codec
        self._recipe, self._encoders = recipe, encoders
        self._base = (base,)  # in a tuple, so that it is not registered

    def frozen(self) -> Iterable[nn.Module]:
        return (*self._base, *self.codec.networks(), *self._encoders.networks())

    def blocks(self) -> Iterable[nn.Module]:
        return self.branch.blocks

    def forward(self, batch: TextureBatch) -> Losses:
        recipe, (base,), voxels = self._recipe, self._base, batch.voxels
        point = sparse_flow_point(recipe.path, self.codec.latent(batch, voxels), batch, voxels)
        seen = self.observe(batch)
        rows = {"voxel_feats_NF": lambda drop_B: voxels.spread(drop_B[:, None])[:, 0]}
        cond = drop_condition(seen.cond, batch.drop_B < recipe.drop_condition, rows)
        x = SparseTensor(point.x_t, voxels)
        inputs = x, point.network_time_B, cond, TIME_SCALE * seen.visible_B, base
        if recipe.alignment_weight:
            velocity, alignment_B = self.branch.forward_with_alignment(*inputs)
        else:
            velocity, alignment_B = self.branch(*inputs), torch.zeros_like(point.t_B)
        error_B = voxel_mean_B((velocity.feats.float() - point.velocity).square(), voxels.lengths)
        terms = {"velocity": error_B}
        if recipe.alignment_weight:
            terms["alignment"] = alignment_B
        return Losses(
            error_B + recipe.alignment_weight * alignment_B, torch.ones_like(error_B), terms, time_B=point.t_B
        )

    @torch.no_grad()
    def observe(self, batch: TextureBatch) -> Observation:
        """From the frozen encoders, and for visibility from the depth test."""
        compat, seen, scene_B4SS = self.branch.reference_compat, batch.images, batch.images.scene_B4SS
        images = encode_images(
            self._encoders,
            seen.instance_B4SS,
            scene_B4SS,
            seen.scenes_U3SS,
            seen.scene_B,
            seen.clean_B3SS if self._recipe.alignment_weight else None,
        )
        views, detail = voxel_views(batch), images.scene.detail_BFHW
        cond = texture_condition(
            images.tokens_4BTD,
            detail,
            voxel_features(detail, views, compat),
            images.clean_BTD,
            tile=detail.shape[-1] // self._encoders.sizes.scene_grid,
        )
        return Observation(cond, visibility_ratio(scene_B4SS[:, 3], views, compat))

    @torch.no_grad()
    def generate(self, batch: TextureBatch, voxels: VoxelSet) -> Tensor:
        """[N, 8]: normalised latents, sampled from the batch's own noise."""
        (base,), seen = self._base, self.observe(batch)
        cond, no_cond = (self.branch.prepare(c, base) for c in (seen.cond, seen.cond.zeroed()))
        ratio_B = TIME_SCALE * seen.visible_B
        return sample_euler(
            lambda x, t_B: self.branch(SparseTensor(x, voxels), t_B, cond, ratio_B, base).feats,
            batch.noise_N8,
            len(batch),
            self._recipe.sampler,
            negative=lambda x, t_B: self.branch(SparseTensor(x, voxels), t_B, no_cond, ratio_B, base).feats,
        )


class TexturerStage(StageBase):
    """Implements `Stage`."""

    def __init__(self, entry: StageEntry, context: StageContext) -> None:
        super().__init__(entry, context)
        self.recipe = context.recipe_as(SlatFlowRecipe)

    def source(self, split: Split) -> SampleSource[Any]:
        return TextureSource(
            slat_data(self.context, self.recipe), split, self.context.seed, clean=self.recipe.alignment_weight > 0
        )

    @cached_property
    def _module(self) -> TexturerModule:
        base = self.context.frozen("slat_flow", SLatFlow)
        codec = SlatCodec.of(self.context)
        return TexturerModule(self._branch(base), base, codec, self.context.encoders, self.recipe)

    def _branch(self, base: SLatFlow) -> Texturer:
        """From initial weights, or else a copy of the base that does not change its output yet."""
        if "texturer" in self.context.weights:
            return self.context.trained("texturer", Texturer)
        return self.context.fresh("texturer", Texturer).start_from(base)

    def module(self) -> TexturerModule:
        return self._module

    def networks(self) -> Mapping[str, nn.Module]:
        return {"texturer": self._module.branch}

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "slat_normalization": self._module.codec.statistics.to_json()}

    def measure(self, module: TexturerModule, batches: Iterable[TextureBatch]) -> Mapping[str, Sequence[float]]:
        """psnr: of decoded samples against decoded true latents, from several sides.

        psnr_in_view: of decoded samples against the image itself, inside the visible mask.
        psnr_in_view_of_truth: the same for the decoded true latents, an upper limit, since their light is not that of
        the scene.
        """
        rows: dict[str, list[float]] = {"psnr": [], "psnr_in_view": [], "psnr_in_view_of_truth": []}
        for batch in batches:
            voxels = batch.voxels
            true = module.codec.decode(module.codec.latent(batch, voxels), voxels)
            sampled = module.codec.decode(module.generate(batch, voxels), voxels)
            rows["psnr"] += mean_psnr(orbit_BK3HW(sampled, ORBIT_PX), orbit_BK3HW(true, ORBIT_PX))
            rows["psnr_in_view"] += psnr_in_view(sampled, batch)
            rows["psnr_in_view_of_truth"] += psnr_in_view(true, batch)
        return rows

    def snapshot(self, module: TexturerModule, batch: TextureBatch, folder: Path) -> list[Path]:
        """Crop of the scene, and sampled and true latent, both decoded; a row for each object."""
        voxels = batch.voxels
        true, sampled = module.codec.latent(batch, voxels), module.generate(batch, voxels)
        path = folder / "textured.png"
        sampled_beside_truth(module.codec, sampled, true, voxels, {"crop": batch.images.instance_B4SS}).save(path)
        return [path]
