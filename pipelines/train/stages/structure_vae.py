"""The structure VAE, trained from scratch, for those who have no TRELLIS weights.

Shapes: B samples; occupancy [B, 1, 64, 64, 64], latents [B, 8, 16, 16, 16].
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.structure_vae import SparseStructureDecoder, SparseStructureEncoder
from pipelines.train.data.batches import ShapeBatch
from pipelines.train.data.sources.shapes import ShapeSource
from pipelines.train.interfaces.loading import SampleSource, Split
from pipelines.train.interfaces.stage import Losses, TrainingModule
from pipelines.train.losses.occupancy import cross_entropy_B, dice_B
from pipelines.train.losses.posterior import kl_divergence_B, posterior_sample
from pipelines.train.settings.recipes import StructureVaeRecipe
from pipelines.train.stages.context import StageBase, StageContext, StageEntry
from pipelines.train.stages.pictures import voxel_table
from pipelines.train.stages.structure_common import columns, voxel_scores


class StructureVaeModule(TrainingModule):
    """Encoder and decoder, trained together."""

    def __init__(
        self, encoder: SparseStructureEncoder, decoder: SparseStructureDecoder, recipe: StructureVaeRecipe
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self._recipe = recipe

    def forward(self, batch: ShapeBatch) -> Losses:
        recipe, target, noise = self._recipe, batch.target_occupancy(), batch.noise
        if recipe.crop and self.training:
            target, noise = cropped(target, noise, batch.drop_B, recipe.crop)
        mean, log_variance = self.encoder(target)
        logits = self.decoder(posterior_sample(mean, log_variance, noise))
        terms = {
            "dice": dice_B(logits, target),
            "cross_entropy": cross_entropy_B(logits, target),
            "divergence": kl_divergence_B(mean, log_variance),
        }
        weights = {
            "dice": recipe.dice_weight,
            "cross_entropy": recipe.cross_entropy_weight,
            "divergence": recipe.kl_weight,
        }
        loss_B = torch.stack([weights[name] * value for name, value in terms.items()]).sum(0)
        return Losses(loss_B, torch.ones_like(loss_B), terms)

    @torch.no_grad()
    def reconstruct(self, occupancy: Tensor) -> Tensor:
        """[B, 1, 64, 64, 64] bool: voxels decoded from the posterior's mean."""
        return self.decoder(self.encoder(occupancy)[0]) > 0


class StructureVaeStage(StageBase):
    """Implements `Stage`."""

    def __init__(self, entry: StageEntry, context: StageContext) -> None:
        super().__init__(entry, context)
        self.recipe = context.recipe_as(StructureVaeRecipe)

    def source(self, split: Split) -> SampleSource[Any]:
        return ShapeSource(self.context.data, split, self.context.seed, image=False)

    @cached_property
    def _module(self) -> StructureVaeModule:
        encoder = self.context.trained("structure_encoder", SparseStructureEncoder)
        if "structure_encoder" not in self.context.weights:
            head: Any = encoder.out_layer[-1]
            nn.init.constant_(head.bias.chunk(2)[1], self.recipe.initial_log_variance)
        decoder = self.context.trained("structure_decoder", SparseStructureDecoder)
        return StructureVaeModule(encoder, decoder, self.recipe)

    def module(self) -> StructureVaeModule:
        return self._module

    def networks(self) -> Mapping[str, nn.Module]:
        return {"structure_encoder": self._module.encoder, "structure_decoder": self._module.decoder}

    def measure(self, module: StructureVaeModule, batches: Iterable[ShapeBatch]) -> Mapping[str, Sequence[float]]:
        """Voxel scores of reconstructions from the posterior's mean."""
        targets = (batch.target_occupancy() for batch in batches)
        scores = [voxel_scores(module.reconstruct(target), target) for target in targets]
        return columns([score.named() for of_batch in scores for score in of_batch])

    def snapshot(self, module: StructureVaeModule, batch: ShapeBatch, folder: Path) -> list[Path]:
        """Reconstruction and target, a row for each object."""
        target = batch.target_occupancy()
        path = folder / "reconstructions.png"
        voxel_table({"reconstructed": module.reconstruct(target), "target": target}).save(path)
        return [path]


def cropped(occupancy_B1RRR: Tensor, noise_BCrrr: Tensor, pick_B: Tensor, edge: int) -> tuple[Tensor, Tensor]:
    """A cube around an occupied voxel of each sample, and the noise of the same cells of the latent grid.

    pick_B: random numbers in [0, 1), which choose the voxel. edge: of the cubes in voxels; they are aligned with the
    latent grid. Returns [B, 1, edge, edge, edge] and the noise, whose edge is in cells.
    """
    R = occupancy_B1RRR.shape[-1]
    cell = R // noise_BCrrr.shape[-1]
    voxels, cells = [], []
    for grid, noise, pick in zip(occupancy_B1RRR, noise_BCrrr, pick_B.tolist(), strict=True):
        occupied_V3 = grid[0].nonzero()
        centre_3 = occupied_V3[int(pick * len(occupied_V3))]
        low = ((centre_3 - edge // 2).clamp(0, R - edge) // cell).tolist()
        cells.append(noise[_cube(low, edge // cell)])
        voxels.append(grid[_cube([cell * x for x in low], edge)])
    return torch.stack(voxels), torch.stack(cells)


def _cube(low: list[int], edge: int) -> tuple[slice, ...]:
    return (slice(None), *(slice(x, x + edge) for x in low))
