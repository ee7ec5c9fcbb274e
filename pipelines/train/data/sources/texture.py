"""Structured latents of objects seen in scenes: samples of the texturer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from pipelines.train.data.batches import TextureBatch
from pipelines.train.data.catalogue import catalogue_of_views
from pipelines.train.data.collate import texture_batch
from pipelines.train.data.encoder_images import clean_image, instance_images
from pipelines.train.data.options import DataOptions
from pipelines.train.data.randomness import Stream, draw_step, generator
from pipelines.train.data.readers import Readers
from pipelines.train.data.samples import SampleName, TextureSample
from pipelines.train.data.scene_views import SceneViews
from pipelines.train.data.sources.common import SLAT_CHANNELS, SparseSource
from pipelines.train.data.sources.slat_assets import SlatAssets
from pipelines.train.interfaces.loading import Split


class TextureSource(SparseSource):
    """One sample is one object in one view, with its asset in a random rotation; see SampleSource.

    clean: also give a clean view of the asset. Raises UsageError for data without latents and features.
    """

    def __init__(self, options: DataOptions, split: Split, seed: int, clean: bool = True) -> None:
        readers, self._clean = Readers(options.locations), clean
        self._assets = SlatAssets(options, readers)
        wanted = self._assets.wanted()
        super().__init__(options, seed, readers, catalogue_of_views(readers, options, split, wanted))
        self._views = SceneViews(readers, options, seed, with_estimates=False)

    def load(self, index: int, epoch: int) -> TextureSample:
        """Raises BadRowError, or Rejected for a rotation with too many voxels."""
        options, catalogue = self.options, self.catalogue
        number, size = int(catalogue.dataset_L[index]), options.image_px
        scene = self._views.get(number, int(catalogue.view_L[index]), epoch)
        seen, objects = scene.object(int(catalogue.instance_L[index])), self.readers.objects(number)
        rng = generator(self.seed, Stream.SAMPLE, epoch, index)
        rotate = rng.random() < options.augmentation.rotation
        asset = self._assets.rotated(objects, seen.asset_uid, rotate, rng)
        clean = clean_image(objects, seen.asset_uid, rng, size) if self._clean else None
        width, height = scene.view.size_px
        return TextureSample(
            name=SampleName(number, seen.asset_uid, scene.number, seen.instance_id),
            coords_N3=asset.coords_N3,
            slat_N8=asset.slat_N8,
            feats_NC=asset.feats_NC,
            images=instance_images(scene, seen, size, clean),
            T_world_grid=torch.from_numpy(seen.T_world_obj @ np.linalg.inv(asset.T_rot_obj)),
            T_world_cam=torch.from_numpy(scene.view.T_world_cam),
            K_norm=torch.from_numpy(np.diag([1 / width, 1 / height, 1.0]) @ scene.view.K_px),
            depth_SS=scene.depth_SS(size),
            draws=draw_step(self.seed, epoch, index, (len(asset.coords_N3), SLAT_CHANNELS)),
        )

    def collate(self, samples: Sequence[TextureSample]) -> TextureBatch:
        return texture_batch(samples)
