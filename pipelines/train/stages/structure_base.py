"""A: the structure flow on rotated assets, TRELLIS's own or a new one, conditioned on a clean view of the asset.

Shapes: B samples, S image edge, T tokens, D their width; latents [B, 8, 16, 16, 16], occupancy [B, 1, 64, 64, 64].
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.layers.norms import layer_norm_32
from models.structure_flow import SparseStructureFlow
from pipelines.encoders.protocol import ImageEncoders
from pipelines.samplers import sample_euler
from pipelines.train.data.batches import ShapeBatch
from pipelines.train.data.sources.shapes import ShapeSource
from pipelines.train.interfaces.loading import SampleSource, Split
from pipelines.train.interfaces.stage import Losses, TrainingModule
from pipelines.train.losses.flow import drop_rows, flow_point, mean_square_B
from pipelines.train.settings.recipes import FlowRecipe
from pipelines.train.stages.context import StageBase, StageContext, StageEntry
from pipelines.train.stages.pictures import voxel_table
from pipelines.train.stages.structure_common import StructureCodec, columns, voxel_scores


class StructureBaseModule(TrainingModule):
    """The flow transformer, and the frozen networks around it."""

    def __init__(
        self, flow: SparseStructureFlow, codec: StructureCodec, encoders: ImageEncoders, recipe: FlowRecipe
    ) -> None:
        super().__init__()
        self.flow = flow
        self._codec, self._encoders, self._recipe = codec, encoders, recipe

    def frozen(self) -> Iterable[nn.Module]:
        return (*self._codec.networks(), *self._encoders.networks())

    def blocks(self) -> Iterable[nn.Module]:
        return self.flow.blocks

    def forward(self, batch: ShapeBatch) -> Losses:
        point = flow_point(self._recipe.path, self._codec.encode(batch.target_occupancy()), batch.noise, batch.time_B)
        tokens = drop_rows(self.tokens(batch), batch.drop_B < self._recipe.drop_condition)
        loss_B = mean_square_B(self.flow(point.x_t, point.network_time_B, tokens), point.velocity)
        return Losses(loss_B, torch.ones_like(loss_B), time_B=point.t_B)

    @torch.no_grad()
    def tokens(self, batch: ShapeBatch) -> Tensor:
        """[B, T, D]: image tokens of the clean views, after layer norm."""
        return layer_norm_32(self._encoders.image_tokens(_view(batch)))

    @torch.no_grad()
    def generate(self, batch: ShapeBatch) -> Tensor:
        """[B, 1, 64, 64, 64] bool: voxels sampled from the batch's own noise."""
        tokens = self.tokens(batch)
        latent = sample_euler(
            lambda x, t_B: self.flow(x, t_B, tokens),
            batch.noise,
            len(tokens),
            self._recipe.sampler,
            negative=lambda x, t_B: self.flow(x, t_B, torch.zeros_like(tokens)),
        )
        return self._codec.decode(latent)


class StructureBaseStage(StageBase):
    """Implements `Stage`."""

    def __init__(self, entry: StageEntry, context: StageContext) -> None:
        super().__init__(entry, context)
        self.recipe = context.recipe_as(FlowRecipe)

    def source(self, split: Split) -> SampleSource[Any]:
        return ShapeSource(self.context.data, split, self.context.seed, image=True)

    @cached_property
    def _module(self) -> StructureBaseModule:
        flow = self.context.trained("structure_flow", SparseStructureFlow)
        return StructureBaseModule(flow, StructureCodec.of(self.context), self.context.encoders, self.recipe)

    def module(self) -> StructureBaseModule:
        return self._module

    def networks(self) -> Mapping[str, nn.Module]:
        return {"structure_flow": self._module.flow}

    def measure(self, module: StructureBaseModule, batches: Iterable[ShapeBatch]) -> Mapping[str, Sequence[float]]:
        """Scores of voxels that are sampled given the clean view, against those of the asset."""
        scores = [voxel_scores(module.generate(batch), batch.target_occupancy()) for batch in batches]
        return columns([score.named() for of_batch in scores for score in of_batch])

    def snapshot(self, module: StructureBaseModule, batch: ShapeBatch, folder: Path) -> list[Path]:
        """Clean view, sampled voxels and target, a row for each object."""
        grids = {"generated": module.generate(batch), "target": batch.target_occupancy()}
        path = folder / "generated.png"
        voxel_table(grids, {"view": _view(batch)}).save(path)
        return [path]


def _view(batch: ShapeBatch) -> Tensor:
    """[B, 3, S, S] float32: the clean views. Raises ValueError if there are none."""
    if batch.image_B3SS is None:
        raise ValueError("the structure base is trained on clean views; make its source with image=True")
    return batch.image_B3SS
