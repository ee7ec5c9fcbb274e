"""Structured latents of assets, each with one clean image: samples of the SLAT base."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.train.data.batches import LatentBatch
from pipelines.train.data.catalogue import catalogue_of_assets
from pipelines.train.data.collate import latent_batch
from pipelines.train.data.encoder_images import blurred, clean_image
from pipelines.train.data.options import DataOptions
from pipelines.train.data.randomness import Stream, draw_step, generator
from pipelines.train.data.readers import Readers
from pipelines.train.data.samples import LatentSample, SampleName
from pipelines.train.data.scene_views import blurred_px
from pipelines.train.data.sources.common import ROTATED_SHARE, SLAT_CHANNELS, SparseSource
from pipelines.train.data.sources.slat_assets import SlatAssets
from pipelines.train.interfaces.loading import Split


class LatentSource(SparseSource):
    """One sample is one asset, in a random or in the canonical rotation; see SampleSource.

    Raises UsageError for data without latents and features.
    """

    def __init__(self, options: DataOptions, split: Split, seed: int) -> None:
        readers = Readers(options.locations)
        self._assets = SlatAssets(options, readers)
        wanted = self._assets.wanted()
        super().__init__(options, seed, readers, catalogue_of_assets(readers, options, split, wanted))

    def load(self, index: int, epoch: int) -> LatentSample:
        """Raises BadRowError, or Rejected for a rotation with too many voxels."""
        options, number, uid = self.options, int(self.catalogue.dataset_L[index]), self.catalogue.asset(index).uid
        objects, rng = self.readers.objects(number), generator(self.seed, Stream.SAMPLE, epoch, index)
        rotate, blur = rng.random() < ROTATED_SHARE, blurred_px(rng, options.augmentation, options.image_px)
        image_3SS = blurred(clean_image(objects, uid, rng, options.image_px), blur)
        asset = self._assets.rotated(objects, uid, rotate, rng)
        return LatentSample(
            name=SampleName(number, uid),
            coords_N3=asset.coords_N3,
            slat_N8=asset.slat_N8,
            feats_NC=asset.feats_NC,
            image_3SS=image_3SS,
            draws=draw_step(self.seed, epoch, index, (len(asset.coords_N3), SLAT_CHANNELS)),
        )

    def collate(self, samples: Sequence[LatentSample]) -> LatentBatch:
        return latent_batch(samples)
