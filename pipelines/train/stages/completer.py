"""The structure completers: object pre-training (E), Coarse Structure Completer (F), Fine Shape Refiner (G).

Shapes: B samples, S image edge; latents [B, 8, 16, 16, 16], occupancy [B, 1, 64, 64, 64].
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.completer import CompleterCondition, StructureCompleter
from models.structure_flow import SparseStructureFlow
from pipelines.conditioning import encode_images, structure_condition
from pipelines.encoders.protocol import ImageEncoders
from pipelines.samplers import TIME_SCALE, sample_euler
from pipelines.train.data.batches import StructureBatch
from pipelines.train.data.sources.lone_objects import LoneObjectSource
from pipelines.train.data.sources.structure import StructureSource
from pipelines.train.interfaces.loading import SampleSource, Split
from pipelines.train.interfaces.stage import Losses, TrainingModule
from pipelines.train.losses.flow import drop_condition, flow_point, mean_square_B
from pipelines.train.settings.recipes import FlowRecipe
from pipelines.train.stages.context import StageBase, StageContext, StageEntry
from pipelines.train.stages.pictures import voxel_table
from pipelines.train.stages.structure_common import StructureCodec, columns, voxel_scores

ALPHA_BINS = 4


class CompleterModule(TrainingModule):
    """The control branch, which is trained, and the frozen networks around it."""

    def __init__(
        self,
        branch: StructureCompleter,
        base: SparseStructureFlow,
        codec: StructureCodec,
        encoders: ImageEncoders,
        recipe: FlowRecipe,
    ) -> None:
        super().__init__()
        self.branch = branch
        self._recipe, self._codec, self._encoders = recipe, codec, encoders
        self._base = (base,)  # in a tuple, so that it is not registered

    def frozen(self) -> Iterable[nn.Module]:
        return (*self._base, *self._codec.networks(), *self._encoders.networks())

    def blocks(self) -> Iterable[nn.Module]:
        return self.branch.blocks

    def forward(self, batch: StructureBatch) -> Losses:
        recipe, (base,) = self._recipe, self._base
        point = flow_point(recipe.path, self._codec.encode(batch.target_occupancy()), batch.noise, batch.time_B)
        cond = drop_condition(self.condition(batch), batch.drop_B < recipe.drop_condition)
        inputs = point.x_t, point.network_time_B, cond, TIME_SCALE * batch.depth_ratio_B, base
        if not recipe.alignment_weight:
            error_B = mean_square_B(self.branch(*inputs), point.velocity)
            return Losses(error_B, torch.ones_like(error_B), {"velocity": error_B}, point.t_B)
        velocity, alignment_B = self.branch.forward_with_alignment(*inputs)
        error_B = mean_square_B(velocity, point.velocity)
        loss_B = error_B + recipe.alignment_weight * alignment_B
        return Losses(loss_B, torch.ones_like(loss_B), {"velocity": error_B, "alignment": alignment_B}, point.t_B)

    @torch.no_grad()
    def condition(self, batch: StructureBatch) -> CompleterCondition:
        """The condition on what is known of each object, from the frozen encoders."""
        seen = batch.images
        images = encode_images(
            self._encoders,
            seen.instance_B4SS,
            seen.scene_B4SS,
            seen.scenes_U3SS,
            seen.scene_B,
            seen.clean_B3SS if self._recipe.alignment_weight else None,
        )
        return structure_condition(
            images.tokens_4BTD,
            images.scene.tokens_BDhw,
            self._codec.encode(batch.partial_occupancy()),
            batch.folded_confidence(),
            images.clean_BTD,
        )

    @torch.no_grad()
    def complete(self, batch: StructureBatch) -> Tensor:
        """[B, 1, 64, 64, 64] bool: completed voxels, sampled from the batch's own noise."""
        (base,), ratio_B, condition = self._base, TIME_SCALE * batch.depth_ratio_B, self.condition(batch)
        cond, no_cond = (self.branch.prepare(c, base) for c in (condition, condition.zeroed()))
        latent = sample_euler(
            lambda x, t_B: self.branch(x, t_B, cond, ratio_B, base),
            batch.noise,
            len(ratio_B),
            self._recipe.sampler,
            negative=lambda x, t_B: self.branch(x, t_B, no_cond, ratio_B, base),
        )
        return self._codec.decode(latent)


class CompleterStage(StageBase):
    """Implements `Stage` for "object", "coarse" and "fine", which differ in samples and recipes."""

    def __init__(self, entry: StageEntry, context: StageContext) -> None:
        super().__init__(entry, context)
        self.recipe = context.recipe_as(FlowRecipe)

    def source(self, split: Split) -> SampleSource[Any]:
        data, seed = self.context.data, self.context.seed
        if self.name == "object":
            return LoneObjectSource(data, split, seed)
        stage: Literal["coarse", "fine"] = "coarse" if self.name == "coarse" else "fine"
        return StructureSource(data, split, seed, stage=stage, clean=self.recipe.alignment_weight > 0)

    @cached_property
    def _module(self) -> CompleterModule:
        base = self.context.frozen("structure_flow", SparseStructureFlow)
        codec = StructureCodec.of(self.context)
        return CompleterModule(self._branch(base), base, codec, self.context.encoders, self.recipe)

    def _branch(self, base: SparseStructureFlow) -> StructureCompleter:
        """From the first available initial weights, or else a copy of the base that does not change its output yet."""
        for name in self.entry.starts_from:
            if name in self.context.weights:
                return self.context.trained(name, StructureCompleter)
        return self.context.fresh(self.entry.makes[0], StructureCompleter).start_from(base)

    def module(self) -> CompleterModule:
        return self._module

    def networks(self) -> Mapping[str, nn.Module]:
        return {self.entry.makes[0]: self._module.branch}

    def measure(self, module: CompleterModule, batches: Iterable[StructureBatch]) -> Mapping[str, Sequence[float]]:
        """Scores of sampled completions, their IoU by alpha, and as a baseline the scores of the visible voxels."""
        return columns([row for batch in batches for row in _measured(module, batch)])

    def snapshot(self, module: CompleterModule, batch: StructureBatch, folder: Path) -> list[Path]:
        """Crop, visible voxels, completion and target, a row for each object."""
        grids = {
            "visible": batch.partial_occupancy(),
            "completed": module.complete(batch),
            "target": batch.target_occupancy(),
        }
        path = folder / "completions.png"
        voxel_table(grids, {"crop": batch.instance_B4SS}).save(path)
        return [path]


def _measured(module: CompleterModule, batch: StructureBatch) -> list[dict[str, float]]:
    """The measures of each sample of a batch, by name."""
    target = batch.target_occupancy()
    completed = voxel_scores(module.complete(batch), target)
    visible = voxel_scores(batch.partial_occupancy(), target)
    return [
        {**ours.named(), **baseline.named("_visible_only"), f"iou_alpha_{_alpha_bin(alpha)}": ours.iou}
        for ours, baseline, alpha in zip(completed, visible, batch.depth_ratio_B.tolist(), strict=True)
    ]


def _alpha_bin(alpha: float) -> str:
    """The lower end of alpha's bin. Alpha 1 (estimated depth alone, as in completion) is a bin of its own."""
    return "1" if alpha == 1 else f"{int(alpha * ALPHA_BINS) / ALPHA_BINS:.2f}"
