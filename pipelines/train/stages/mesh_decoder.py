"""D: the mesh decoder on rotated assets, after the frozen encoder.

Shapes: B samples, K views, H W their size, N voxels of all samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.flexicubes.extraction import Mesh
from models.mesh_decoder import MeshDecoder
from models.slat_vae import SLatEncoder
from models.sparse.voxels import SparseTensor
from pipelines.train.data.batches import RenderBatch
from pipelines.train.data.sources.renders import RenderSource
from pipelines.train.interfaces.loading import SampleSource, Split
from pipelines.train.interfaces.stage import Losses, TrainingModule
from pipelines.train.losses.images import ImageLoss
from pipelines.train.losses.meshes import MeshLoss, MeshViews
from pipelines.train.losses.perceptual import PerceptualDistance
from pipelines.train.settings.recipes import MeshRecipe
from pipelines.train.stages.context import StageBase, StageContext, StageEntry
from pipelines.train.stages.decoder_common import WHITE, TrueViews, black_or_white
from pipelines.train.stages.mesh_measures import mesh_scores, meshes_beside_truth
from pipelines.train.stages.slat_common import perceptual_distance, posterior_mean, slat_data
from pipelines.train.stages.structure_common import columns


class MeshDecoderModule(TrainingModule):
    """The decoder, and the frozen encoder before it."""

    def __init__(
        self, decoder: MeshDecoder, encoder: SLatEncoder, recipe: MeshRecipe, distance: PerceptualDistance | None
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self._encoder = (encoder,)  # in a tuple, so that it is not registered
        self._view_px, self._distance = recipe.view_px, distance
        self._loss = MeshLoss(ImageLoss(recipe.image, distance), recipe.mesh, decoder.config.mesh_resolution)

    def frozen(self) -> Iterable[nn.Module]:
        return (*self._encoder, *(() if self._distance is None else self._distance.networks()))

    def blocks(self) -> Iterable[nn.Module]:
        return self.decoder.blocks

    def forward(self, batch: RenderBatch) -> Losses:
        truths = true_meshes(batch, TrueViews.of(batch, black_or_white(batch.drop_B), self._view_px))
        parts = [self._loss(mesh, truth) for mesh, truth in zip(self.decode(batch, training=True), truths, strict=True)]
        terms = {name: torch.stack([terms[name] for _, terms in parts]) for name in parts[0][1]}
        loss_B = torch.stack([loss for loss, _ in parts])
        return Losses(loss_B, torch.ones_like(loss_B), terms)

    def decode(self, batch: RenderBatch, training: bool) -> list[Mesh]:
        """The mesh of each sample, from the posterior's mean. training: with what the losses need."""
        voxels = batch.voxels
        latent_N8: Tensor = posterior_mean(self._encoder[0], batch, voxels)
        raw = self.decoder.raw(SparseTensor(latent_N8, voxels))
        meshes: list[Mesh] = self.decoder.extract(raw, training=training)
        return meshes


def true_meshes(batch: RenderBatch, seen: TrueViews) -> list[MeshViews]:
    """The true mesh of each sample and its views. Raises ValueError for a batch without meshes."""
    if batch.vertices is None or batch.faces is None:
        raise ValueError("the mesh decoder is trained on meshes; make its source with mesh=True")
    items = zip(batch.vertices, batch.faces, seen.views, seen.pictures_BK3HW, seen.background_B, strict=True)
    return [MeshViews.of(*item) for item in items]


class MeshDecoderStage(StageBase):
    """Implements `Stage`."""

    def __init__(self, entry: StageEntry, context: StageContext) -> None:
        super().__init__(entry, context)
        self.recipe = context.recipe_as(MeshRecipe)

    def source(self, split: Split) -> SampleSource[Any]:
        return RenderSource(slat_data(self.context, self.recipe), split, self.context.seed, mesh=True)

    @cached_property
    def _module(self) -> MeshDecoderModule:
        encoder = self.context.frozen("slat_encoder", SLatEncoder)
        decoder = self.context.trained("mesh_decoder", MeshDecoder)
        distance = perceptual_distance(self.context, self.recipe.perceptual)
        return MeshDecoderModule(decoder, encoder, self.recipe, distance)

    def module(self) -> MeshDecoderModule:
        return self._module

    def networks(self) -> Mapping[str, nn.Module]:
        return {"mesh_decoder": self._module.decoder}

    @torch.no_grad()
    def measure(self, module: MeshDecoderModule, batches: Iterable[RenderBatch]) -> Mapping[str, Sequence[float]]:
        """Chamfer distance, normal consistency and IoU of silhouettes; see `mesh_scores`."""
        rows = []
        for batch in batches:
            pairs = zip(module.decode(batch, training=False), self._truths(batch), strict=True)
            rows += [mesh_scores(mesh, truth) for mesh, truth in pairs]
        return columns(rows)

    @torch.no_grad()
    def snapshot(self, module: MeshDecoderModule, batch: RenderBatch, folder: Path) -> list[Path]:
        """Colours and normals, true and decoded, a row for each object."""
        path = folder / "meshes.png"
        meshes_beside_truth(module.decode(batch, training=False), self._truths(batch)).save(path)
        return [path]

    def _truths(self, batch: RenderBatch) -> list[MeshViews]:
        return true_meshes(batch, TrueViews.of(batch, WHITE, self.recipe.view_px))
