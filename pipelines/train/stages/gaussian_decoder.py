"""C: the Gaussian decoder on rotated assets, trained on samples of the frozen encoder's posterior.

Shapes: B samples, K views, H W their size, N voxels of all samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.gaussian_decoder import GaussianDecoder, Gaussians
from models.slat_vae import SLatEncoder
from models.sparse.voxels import SparseTensor, VoxelSet
from pipelines.train.data.batches import RenderBatch
from pipelines.train.data.sources.renders import RenderSource
from pipelines.train.interfaces.loading import SampleSource, Split
from pipelines.train.interfaces.stage import Losses, TrainingModule
from pipelines.train.losses.gaussians import GaussianLoss
from pipelines.train.losses.images import ImageLoss
from pipelines.train.losses.perceptual import PerceptualDistance
from pipelines.train.losses.posterior import posterior_sample
from pipelines.train.settings.recipes import GaussianRecipe
from pipelines.train.stages.context import StageBase, StageContext, StageEntry
from pipelines.train.stages.decoder_common import (
    WHITE,
    TrueViews,
    black_or_white,
    measured_pictures,
    pictures_beside_truth,
)
from pipelines.train.stages.slat_common import features, perceptual_distance, posterior_mean, slat_data


class GaussianDecoderModule(TrainingModule):
    """The decoder, and the frozen encoder before it."""

    def __init__(
        self,
        decoder: GaussianDecoder,
        encoder: SLatEncoder,
        recipe: GaussianRecipe,
        distance: PerceptualDistance | None,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self._encoder = (encoder,)  # in a tuple, so that it is not registered
        self._view_px, self._distance = recipe.view_px, distance
        self._loss = GaussianLoss(ImageLoss(recipe.image, distance), recipe.gaussians)

    def frozen(self) -> Iterable[nn.Module]:
        return (*self._encoder, *(() if self._distance is None else self._distance.networks()))

    def blocks(self) -> Iterable[nn.Module]:
        return self.decoder.blocks

    def forward(self, batch: RenderBatch) -> Losses:
        voxels, truth = batch.voxels, TrueViews.of(batch, black_or_white(batch.drop_B), self._view_px)
        gaussians = self.decoder(SparseTensor(self._sampled_latent(batch, voxels), voxels))
        loss_B, terms = self._loss(gaussians, truth.draw(gaussians), truth.pictures_BK3HW)
        return Losses(loss_B, torch.ones_like(loss_B), terms)

    @torch.no_grad()
    def _sampled_latent(self, batch: RenderBatch, voxels: VoxelSet) -> Tensor:
        """[N, 8]: a sample of the posterior. Stored latents are only its mean, and are used as they are."""
        if batch.slat_N8 is not None:
            return batch.slat_N8
        mean_N8, log_variance_N8 = self._encoder[0](features(batch, voxels))
        return posterior_sample(mean_N8, log_variance_N8, batch.noise_N8)

    @torch.no_grad()
    def decode(self, batch: RenderBatch) -> list[Gaussians]:
        """The Gaussians of each sample, from the posterior's mean."""
        voxels = batch.voxels
        latent_N8 = posterior_mean(self._encoder[0], batch, voxels)
        gaussians: list[Gaussians] = self.decoder(SparseTensor(latent_N8, voxels))
        return gaussians


class GaussianDecoderStage(StageBase):
    """Implements `Stage`."""

    def __init__(self, entry: StageEntry, context: StageContext) -> None:
        super().__init__(entry, context)
        self.recipe = context.recipe_as(GaussianRecipe)

    def source(self, split: Split) -> SampleSource[Any]:
        return RenderSource(slat_data(self.context, self.recipe), split, self.context.seed)

    @cached_property
    def _module(self) -> GaussianDecoderModule:
        encoder = self.context.frozen("slat_encoder", SLatEncoder)
        decoder = self.context.trained("gaussian_decoder", GaussianDecoder)
        distance = perceptual_distance(self.context, self.recipe.perceptual)
        return GaussianDecoderModule(decoder, encoder, self.recipe, distance)

    def module(self) -> GaussianDecoderModule:
        return self._module

    def networks(self) -> Mapping[str, nn.Module]:
        return {"gaussian_decoder": self._module.decoder}

    def measure(self, module: GaussianDecoderModule, batches: Iterable[RenderBatch]) -> Mapping[str, Sequence[float]]:
        """PSNR and SSIM of views of held-out assets."""
        px = self.recipe.view_px
        return measured_pictures((TrueViews.of(batch, WHITE, px), module.decode(batch)) for batch in batches)

    def snapshot(self, module: GaussianDecoderModule, batch: RenderBatch, folder: Path) -> list[Path]:
        """Views and decoded views, a row for each object."""
        truth = TrueViews.of(batch, WHITE, self.recipe.view_px)
        return pictures_beside_truth(module.decode(batch), truth, folder / "decoded.png")
