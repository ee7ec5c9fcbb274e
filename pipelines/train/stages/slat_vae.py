"""The SLAT VAE: encoder and Gaussian decoder trained from scratch, for those who have no TRELLIS weights.

Shapes: B samples, K views, H W their size, N voxels of all samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.gaussian_decoder import GaussianDecoder, Gaussians
from models.slat_vae import SLatEncoder
from pipelines.latent_statistics import SlatStatistics
from pipelines.train.data.batches import RenderBatch
from pipelines.train.data.sources.renders import RenderSource
from pipelines.train.interfaces.loading import SampleSource, Split
from pipelines.train.interfaces.stage import Losses, TrainingModule
from pipelines.train.losses.gaussians import GaussianLoss
from pipelines.train.losses.images import ImageLoss
from pipelines.train.losses.per_voxel import voxel_mean_B
from pipelines.train.losses.perceptual import PerceptualDistance
from pipelines.train.losses.posterior import kl_divergence_B, posterior_sample
from pipelines.train.settings.recipes import GaussianRecipe
from pipelines.train.stages.context import StageBase, StageContext, StageEntry
from pipelines.train.stages.decoder_common import (
    WHITE,
    TrueViews,
    black_or_white,
    measured_pictures,
    pictures_beside_truth,
)
from pipelines.train.stages.slat_common import STATISTICS_FACT, features, perceptual_distance, slat_data


class SlatVaeModule(TrainingModule):
    """Encoder and decoder, trained together."""

    def __init__(
        self,
        encoder: SLatEncoder,
        decoder: GaussianDecoder,
        recipe: GaussianRecipe,
        distance: PerceptualDistance | None,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self._kl_weight, self._view_px, self._distance = recipe.kl_weight, recipe.view_px, distance
        self._loss = GaussianLoss(ImageLoss(recipe.image, distance), recipe.gaussians)

    def frozen(self) -> Iterable[nn.Module]:
        return () if self._distance is None else self._distance.networks()

    def blocks(self) -> Iterable[nn.Module]:
        return [*self.encoder.blocks, *self.decoder.blocks]

    def forward(self, batch: RenderBatch) -> Losses:
        x = features(batch, batch.voxels)
        mean_N8, log_variance_N8 = self.encoder(x)
        gaussians = self.decoder(x.replace(posterior_sample(mean_N8, log_variance_N8, batch.noise_N8)))
        truth = TrueViews.of(batch, black_or_white(batch.drop_B), self._view_px)
        loss_B, terms = self._loss(gaussians, truth.draw(gaussians), truth.pictures_BK3HW)
        terms["divergence"] = voxel_mean_B(kl_divergence_B(mean_N8, log_variance_N8), x.voxels.lengths)
        return Losses(loss_B + self._kl_weight * terms["divergence"], torch.ones_like(loss_B), terms)

    @torch.no_grad()
    def reconstruct(self, batch: RenderBatch) -> list[Gaussians]:
        """The Gaussians of each sample, decoded from the posterior's mean."""
        x = features(batch, batch.voxels)
        gaussians: list[Gaussians] = self.decoder(x.replace(self.encoder(x)[0]))
        return gaussians


class SlatVaeStage(StageBase):
    """Implements `Stage`."""

    def __init__(self, entry: StageEntry, context: StageContext) -> None:
        super().__init__(entry, context)
        self.recipe = context.recipe_as(GaussianRecipe)

    def source(self, split: Split) -> SampleSource[Any]:
        return RenderSource(slat_data(self.context, self.recipe), split, self.context.seed, features=True)

    @cached_property
    def _module(self) -> SlatVaeModule:
        encoder = self.context.trained("slat_encoder", SLatEncoder)
        if "slat_encoder" not in self.context.weights:
            nn.init.constant_(encoder.out_layer.bias.chunk(2)[1], self.recipe.initial_log_variance)
        decoder = self.context.trained("gaussian_decoder", GaussianDecoder)
        return SlatVaeModule(encoder, decoder, self.recipe, perceptual_distance(self.context, self.recipe.perceptual))

    def module(self) -> SlatVaeModule:
        return self._module

    def networks(self) -> Mapping[str, nn.Module]:
        return {"slat_encoder": self._module.encoder, "gaussian_decoder": self._module.decoder}

    def measure(self, module: SlatVaeModule, batches: Iterable[RenderBatch]) -> Mapping[str, Sequence[float]]:
        """PSNR and SSIM of views that the encoder has not seen, reconstructed from the posterior's mean."""
        px = self.recipe.view_px
        return measured_pictures((TrueViews.of(batch, WHITE, px), module.reconstruct(batch)) for batch in batches)

    def facts(self, module: SlatVaeModule, batches: Iterable[RenderBatch]) -> dict[str, Any]:
        """Mean and standard deviation of each latent channel, by which flows normalise latents."""
        statistics = latent_statistics(module.encoder, batches, self.recipe.statistics_samples)
        return {STATISTICS_FACT: statistics.to_json()}

    def snapshot(self, module: SlatVaeModule, batch: RenderBatch, folder: Path) -> list[Path]:
        """Views and their reconstructions, a row for each object."""
        truth = TrueViews.of(batch, WHITE, self.recipe.view_px)
        return pictures_beside_truth(module.reconstruct(batch), truth, folder / "reconstructions.png")


@torch.no_grad()
def latent_statistics(encoder: SLatEncoder, batches: Iterable[RenderBatch], samples: int) -> SlatStatistics:
    """Statistics of the posterior's mean over all voxels of the first `samples` samples, or of all if fewer."""
    count, total_8, squares_8 = 0, torch.zeros(8, dtype=torch.float64), torch.zeros(8, dtype=torch.float64)
    for batch in islice(_until(batches, samples), samples):
        mean_N8 = encoder(features(batch, batch.voxels))[0].double().cpu()
        count, total_8, squares_8 = count + len(mean_N8), total_8 + mean_N8.sum(0), squares_8 + mean_N8.square().sum(0)
    mean_8 = total_8 / count
    deviation_8: Tensor = (squares_8 / count - mean_8.square()).clamp(min=1e-12).sqrt()
    return SlatStatistics(tuple(mean_8.tolist()), tuple(deviation_8.tolist()))


def _until(batches: Iterable[RenderBatch], samples: int) -> Iterator[RenderBatch]:
    """Batches until they hold `samples` samples."""
    seen = 0
    for batch in batches:
        yield batch
        seen += len(batch)
        if seen >= samples:
            return
