"""What the SLAT stages share: the frozen autoencoder, the statistics of its latents, renders of decoded latents.

Shapes: B samples, K views, H W their size, N voxels of all samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor, nn

from models.efficientnet import MissingPackage
from models.gaussian_decoder import GaussianDecoder, Gaussians
from models.slat_vae import SLatEncoder
from models.sparse.voxels import SparseTensor, VoxelSet
from pipelines.errors import PipelineError
from pipelines.flow_matching import FlowPath
from pipelines.latent_statistics import OFFICIAL_SLAT, SlatStatistics
from pipelines.rendering import Splats, View, render_splats
from pipelines.rendering.orbit import orbit_views
from pipelines.train.data.batches import SparseBatch
from pipelines.train.data.options import DataOptions
from pipelines.train.losses.flow import FlowPoint, flow_point
from pipelines.train.losses.images import psnr_B
from pipelines.train.losses.perceptual import EfficientNetDistance, Lpips, PerceptualDistance
from pipelines.train.settings.recipes import DecoderRecipe, SlatRecipe
from pipelines.train.settings.sizes import official
from pipelines.train.stages.context import StageContext
from pipelines.train.stages.pictures import image_picture, table_of_pictures

LPIPS_WEIGHTS = ("lpips_vgg16", "lpips_linear")
STATISTICS_FACT = "slat_normalization"
COMPARED_VIEWS = 4  # in which decoded latents are compared, evenly around the object
ORBIT_PX = 96  # edge of these views: enough to compare colours at the resolution of voxels


@dataclass(frozen=True)
class SlatCodec:
    """The frozen encoder and Gaussian decoder, and the statistics by which their latents are normalised for flows."""

    encoder: SLatEncoder
    decoder: GaussianDecoder
    statistics: SlatStatistics

    @classmethod
    def of(cls, context: StageContext) -> SlatCodec:
        encoder = context.frozen("slat_encoder", SLatEncoder)
        return cls(encoder, context.frozen("gaussian_decoder", GaussianDecoder), slat_statistics(context))

    def networks(self) -> tuple[nn.Module, ...]:
        return self.encoder, self.decoder

    def latent(self, batch: SparseBatch, voxels: VoxelSet) -> Tensor:
        """[N, 8]: normalised posterior mean, as stored or encoded from features."""
        return self.statistics.normalise(posterior_mean(self.encoder, batch, voxels))

    @torch.no_grad()
    def decode(self, normalised_N8: Tensor, voxels: VoxelSet) -> list[Gaussians]:
        """The Gaussians of each sample, from normalised latents."""
        decoded: list[Gaussians] = self.decoder(SparseTensor(self.statistics.restore(normalised_N8), voxels))
        return decoded


def slat_data(context: StageContext, recipe: SlatRecipe) -> DataOptions:
    """The data options of a stage, with what its recipe asks of the samples."""
    data = replace(context.data, max_voxels=min(context.data.max_voxels, recipe.max_voxels))
    if isinstance(recipe, DecoderRecipe):
        data = replace(data, views_per_sample=recipe.views)
    return data


@torch.no_grad()
def posterior_mean(encoder: SLatEncoder, batch: SparseBatch, voxels: VoxelSet) -> Tensor:
    """[N, 8]: posterior mean, not normalised; as stored, or encoded if the batch has features instead."""
    if batch.slat_N8 is not None:
        return batch.slat_N8
    mean_N8, _ = encoder(features(batch, voxels))
    return mean_N8.float()


def features(batch: SparseBatch, voxels: VoxelSet) -> SparseTensor:
    """Image features in voxels, the input of the encoder. Raises ValueError for a batch of stored latents."""
    if batch.feats_NC is None:
        raise ValueError("this stage needs image features in voxels, and the samples hold latents alone")
    return SparseTensor(batch.feats_NC.float(), voxels)


def sparse_flow_point(path: FlowPath, x_0_N8: Tensor, batch: SparseBatch, voxels: VoxelSet) -> FlowPoint:
    """Points on the paths of structured latents; all voxels of a sample have the same time."""
    return flow_point(path, x_0_N8, batch.noise_N8, batch.time_B, spread=lambda t_B: voxels.spread(t_B[:, None])[:, 0])


def slat_statistics(context: StageContext) -> SlatStatistics:
    """The statistics of latents that the stage slat_vae measured, or the released ones for an encoder of that size.

    Raises PipelineError if there are neither.
    """
    measured = context.facts.get("slat_vae", {}).get(STATISTICS_FACT)
    if measured is not None:
        return SlatStatistics.from_json(measured)
    if context.sizes.slat_encoder == official(context.encoders.sizes).slat_encoder:
        return OFFICIAL_SLAT
    raise PipelineError(
        "mean and deviation of the latents of this slat_encoder are not known; the stage slat_vae measures them at its "
        "end: train it in this run (--stage all does)"
    )


def perceptual_distance(context: StageContext, name: str | None) -> PerceptualDistance | None:
    """LPIPS if its weights are given, or else the distance with the name in the recipe; None for None.

    Raises PipelineError if that is not available.
    """
    if all(part in context.weights for part in LPIPS_WEIGHTS):
        return Lpips.from_files(*(context.weights[part] for part in LPIPS_WEIGHTS))
    if name is None:
        return None
    if name != EfficientNetDistance.name:
        raise PipelineError(f"the recipe asks for the perceptual distance {name!r}, and its weights are not given")
    try:
        return EfficientNetDistance.from_package()
    except MissingPackage as error:
        raise PipelineError(f"the image loss of this stage needs features: {error}") from None


def draw_BK3HW(gaussians: Sequence[Gaussians], views: Sequence[Sequence[View]], background_B: Tensor | float) -> Tensor:
    """[B, K, 3, H, W]: renders of each sample's Gaussians from its own cameras, over a grey of this brightness."""
    splats = [Splats.of(g) for g in gaussians]
    brightness = torch.as_tensor(background_B).expand(len(splats))
    return torch.stack(
        [
            torch.stack([render_splats(s, view, grey.to(s.xyz_G3.device)).colour_3HW for view in of_sample])
            for s, of_sample, grey in zip(splats, views, brightness, strict=True)
        ]
    )


def orbit_BK3HW(gaussians: Sequence[Gaussians], size_px: int) -> Tensor:
    """[B, K, 3, H, W]: renders from K = COMPARED_VIEWS sides, over white."""
    views = orbit_views(COMPARED_VIEWS, (size_px, size_px))
    return draw_BK3HW(gaussians, [views] * len(gaussians), 1.0)


def mean_psnr(pictures_BK3HW: Tensor, truths_BK3HW: Tensor) -> list[float]:
    """PSNR of each sample in dB, averaged over its views."""
    value_BK = psnr_B(pictures_BK3HW.flatten(0, 1), truths_BK3HW.flatten(0, 1)).unflatten(0, pictures_BK3HW.shape[:2])
    return [float(value) for value in value_BK.mean(1)]


def sampled_beside_truth(
    codec: SlatCodec, sampled_N8: Tensor, true_N8: Tensor, voxels: VoxelSet, images: Mapping[str, Tensor]
) -> Image.Image:
    """A table with a row for each object: its images, then decoded sample and decoded true latent from two sides.

    images: [B, 3 or 4, H, W] by caption.
    """
    sampled, true = (orbit_BK3HW(codec.decode(latent, voxels), ORBIT_PX) for latent in (sampled_N8, true_N8))
    rows = [
        [image_picture(image[b]) for image in images.values()]
        + [image_picture(pictures[b, k]) for k in (0, COMPARED_VIEWS // 2) for pictures in (sampled, true)]
        for b in range(voxels.batch_size)
    ]
    return table_of_pictures((*images, *("sampled", "true latent") * 2), rows)
