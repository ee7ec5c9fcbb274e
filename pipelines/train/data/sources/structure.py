"""Objects seen in scenes: samples of the two structure completers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from pipelines.train.data import errors
from pipelines.train.data.batches import StructureBatch
from pipelines.train.data.catalogue import catalogue_of_views
from pipelines.train.data.collate import structure_batch
from pipelines.train.data.encoder_images import clean_image, instance_images
from pipelines.train.data.options import DataOptions
from pipelines.train.data.placement import NO_INTERIOR, CubeRule, Placed, draw_transform, place_in_scene
from pipelines.train.data.points import draw_alpha, visible_points
from pipelines.train.data.randomness import Stream, draw_step, generator
from pipelines.train.data.readers import Readers
from pipelines.train.data.samples import SampleName, StructureSample
from pipelines.train.data.scene_views import SceneViews
from pipelines.train.data.sources.common import LATENT_SHAPE, CatalogueSource
from pipelines.train.data.sources.slat_assets import geometry_of
from pipelines.train.interfaces.loading import Split
from pipelines.voxelise import voxelise
from scenegen.contract.objects import ObjectGeometry
from scenegen.contract.voxels import surface_voxels


class StructureSource(CatalogueSource):
    """One sample is one object in one view; see SampleSource.

    stage: "coarse" for the Coarse Structure Completer, "fine" for the Fine Shape Refiner.
    clean: also give a clean view of the asset. Raises UsageError for data without what this needs.
    """

    def __init__(
        self, options: DataOptions, split: Split, seed: int, stage: Literal["coarse", "fine"], clean: bool = True
    ) -> None:
        readers, self._clean = Readers(options.locations), clean
        self._rule = CubeRule(stage == "fine", options.oversize, options.largest_growth)
        catalogue = catalogue_of_views(readers, options, split, lambda asset: asset.num_faces <= options.max_mesh_faces)
        super().__init__(options, seed, readers, catalogue)
        self._views = SceneViews(readers, options, seed)

    def load(self, index: int, epoch: int) -> StructureSample:
        """Raises BadRowError, or Rejected for an object that gives no sample in this view."""
        options, catalogue = self.options, self.catalogue
        number, instance_id = int(catalogue.dataset_L[index]), int(catalogue.instance_L[index])
        view = self._views.get(number, int(catalogue.view_L[index]), epoch)
        seen, objects = view.object(instance_id), self.readers.objects(number)
        rng = generator(self.seed, Stream.SAMPLE, epoch, index)
        transform, alpha = draw_transform(rng, options.augmentation), draw_alpha(rng, options.alpha)

        visible = visible_points(view, seen, alpha)
        if visible.num_interior < options.min_interior_px:
            raise errors.Rejected(NO_INTERIOR)
        mesh = geometry_of(objects, seen.asset_uid)
        placed = place_in_scene(visible, mesh.vertices, seen.T_world_obj, transform, self._rule)
        target_V3, partial_V3, confidence_V = placed_voxels(placed, mesh)
        clean = clean_image(objects, seen.asset_uid, rng, options.image_px) if self._clean else None
        return StructureSample(
            name=SampleName(number, seen.asset_uid, view.number, instance_id),
            images=instance_images(view, seen, options.image_px, clean),
            target_V3=target_V3,
            partial_V3=partial_V3,
            confidence_V=confidence_V,
            depth_ratio=visible.depth_ratio,
            estimator=visible.estimator,
            T_world_cube=torch.from_numpy(placed.T_world_cube),
            draws=draw_step(self.seed, epoch, index, LATENT_SHAPE),
        )

    def collate(self, samples: Sequence[StructureSample]) -> StructureBatch:
        return structure_batch(samples)


def placed_voxels(placed: Placed, mesh: ObjectGeometry) -> tuple[Tensor, Tensor, Tensor]:
    """Voxels of the mesh's surface [V, 3] uint8, voxels of the points [V, 3] uint8, and their confidence [V] float32.

    Points that wrong depth puts outside the cube are moved onto its walls, as when an image is completed.
    """
    target_V3 = torch.from_numpy(surface_voxels(placed.vertices_V3, mesh.faces))
    points = torch.from_numpy(placed.points_P3), torch.from_numpy(placed.confidence_P)
    partial = voxelise(*points, clip=True)
    return target_V3, partial.index_V3.to(torch.uint8), partial.confidence_V
