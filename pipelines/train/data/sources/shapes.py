"""Voxels of lone assets, each with one clean image: samples of the structure VAE and the structure base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from pipelines.train.data.batches import ShapeBatch
from pipelines.train.data.catalogue import catalogue_of_assets
from pipelines.train.data.collate import shape_batch
from pipelines.train.data.encoder_images import blurred, clean_image
from pipelines.train.data.options import DataOptions
from pipelines.train.data.placement import RandomTransform, draw_transform, place_alone
from pipelines.train.data.randomness import Stream, draw_step, generator
from pipelines.train.data.readers import Readers
from pipelines.train.data.samples import SampleName, ShapeSample
from pipelines.train.data.scene_views import blurred_px
from pipelines.train.data.sources.common import LATENT_SHAPE, ROTATED_SHARE, CatalogueSource
from pipelines.train.data.sources.slat_assets import geometry_of
from pipelines.train.interfaces.loading import Split
from scenegen.contract.voxels import surface_voxels

HALF_SIZE_SHARE = 0.2
"""Share of the rotated shapes that are scaled to half the size, which visible parts have in the coarse cube."""


class ShapeSource(CatalogueSource):
    """One sample is one asset, half of the time rotated, shifted and rescaled in its cube; see SampleSource.

    image: also give a clean image.
    """

    def __init__(self, options: DataOptions, split: Split, seed: int, image: bool = True) -> None:
        readers, self._image = Readers(options.locations), image
        catalogue = catalogue_of_assets(
            readers, options, split, lambda asset: asset.num_faces <= options.max_mesh_faces
        )
        super().__init__(options, seed, readers, catalogue)

    def load(self, index: int, epoch: int) -> ShapeSample:
        """Raises BadRowError."""
        options, number, uid = self.options, int(self.catalogue.dataset_L[index]), self.catalogue.asset(index).uid
        objects, rng = self.readers.objects(number), generator(self.seed, Stream.SAMPLE, epoch, index)
        transform, blur = _draw_transform(rng, options), blurred_px(rng, options.augmentation, options.image_px)
        mesh = geometry_of(objects, uid)
        target_V3 = mesh.voxels
        if transform is not None:
            nothing = np.zeros((0, 3), np.float32)
            placed = place_alone(nothing, nothing[:, 0], mesh.vertices, transform)
            target_V3 = surface_voxels(placed.vertices_V3, mesh.faces)
        image_3SS = blurred(clean_image(objects, uid, rng, options.image_px), blur) if self._image else None
        draws = draw_step(self.seed, epoch, index, LATENT_SHAPE)
        return ShapeSample(SampleName(number, uid), torch.tensor(target_V3), image_3SS, draws)

    def collate(self, samples: Sequence[ShapeSample]) -> ShapeBatch:
        return shape_batch(samples)


def _draw_transform(rng: np.random.Generator, options: DataOptions) -> RandomTransform | None:
    """None for a sample in the canonical pose. All numbers are drawn in any case."""
    rotated, half_size = rng.random() < ROTATED_SHARE, rng.random() < HALF_SIZE_SHARE
    transform = draw_transform(rng, options.augmentation)
    return (replace(transform, scale=0.5) if half_size else transform) if rotated else None
