"""Lone assets in their clean views, as if these were scenes: samples of object pre-training.

No depth estimator has seen these views: the depth is the true one, and alpha is 0. A part of the view may be covered,
and the cubes may be those that scenes would give. So much of completion is learned before any scene is rendered.

Shapes: H W view, P points, S edge of the encoders' images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from pipelines.images import crop_box, squeezed_mask
from pipelines.train.data import errors
from pipelines.train.data.batches import StructureBatch
from pipelines.train.data.catalogue import catalogue_of_assets
from pipelines.train.data.collate import structure_batch
from pipelines.train.data.encoder_images import blurred, cropped, random_view
from pipelines.train.data.options import DataOptions
from pipelines.train.data.placement import NO_INTERIOR, CubeRule, draw_transform, place_alone, place_in_scene
from pipelines.train.data.points import VisiblePoints, interior, unprojected
from pipelines.train.data.randomness import Stream, draw_step, generator
from pipelines.train.data.readers import Readers
from pipelines.train.data.resize import resized
from pipelines.train.data.samples import InstanceImages, SampleName, StructureSample
from pipelines.train.data.scene_views import blurred_px
from pipelines.train.data.sources.common import LATENT_SHAPE, CatalogueSource
from pipelines.train.data.sources.slat_assets import geometry_of
from pipelines.train.data.sources.structure import placed_voxels
from pipelines.train.interfaces.loading import Split
from scenegen.contract.crops import premultiplied
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.objects import ObjectView
from scenegen.contract.sidecar import GROUND_TRUTH

NOTHING_SEEN = "a view that shows nothing: of something flat, from its edge"
FINE_SHARE = 0.5
"""Share of the objects that are seen as in scenes that are placed in the fine cube."""
DISC_SHARE = 0.5
"""Share of the covers that are discs; the others have a straight edge."""


class LoneObjectSource(CatalogueSource):
    """One sample is one asset in one of its condition views; see SampleSource."""

    def __init__(self, options: DataOptions, split: Split, seed: int) -> None:
        readers = Readers(options.locations)
        catalogue = catalogue_of_assets(
            readers, options, split, lambda asset: asset.num_faces <= options.max_mesh_faces
        )
        super().__init__(options, seed, readers, catalogue)

    def load(self, index: int, epoch: int) -> StructureSample:
        """Raises BadRowError, or Rejected for a view that shows too little."""
        options, number, uid = self.options, int(self.catalogue.dataset_L[index]), self.catalogue.asset(index).uid
        objects, rng = self.readers.objects(number), generator(self.seed, Stream.SAMPLE, epoch, index)
        transform, blur = (
            draw_transform(rng, options.augmentation),
            blurred_px(rng, options.augmentation, options.image_px),
        )
        view, mesh = _random_view_with_depth(objects, uid, rng), geometry_of(objects, uid)
        assert view.depth is not None
        seen_HW = np.isfinite(view.depth)
        seen_HW &= ~covered(seen_HW, float(rng.uniform(*options.augmentation.hidden)), rng)
        mask_HW = interior(seen_HW)
        if mask_HW.sum() < options.min_interior_px:
            raise errors.Rejected(NO_INTERIOR)
        pixel_P = np.flatnonzero(mask_HW)
        points_P3 = unprojected(view.depth.ravel()[pixel_P], pixel_P, mask_HW.shape[1], view.K_px, view.T_obj_cam)
        fine = bool(rng.random() < FINE_SHARE)
        if options.augmentation.seen_as == "whole":
            placed = place_alone(points_P3, np.ones(len(points_P3), np.float32), mesh.vertices, transform)
        else:
            visible = VisiblePoints(points_P3, np.ones(len(points_P3), np.float32), 0.0, GROUND_TRUTH)
            rule = CubeRule(fine, options.oversize, options.largest_growth)
            placed = place_in_scene(visible, mesh.vertices, np.eye(4), transform, rule)
        target_V3, partial_V3, confidence_V = placed_voxels(placed, mesh)
        return StructureSample(
            name=SampleName(number, uid, variant=view.view_index),
            images=_images(view, seen_HW, rng, options.image_px, blur),
            target_V3=target_V3,
            partial_V3=partial_V3,
            confidence_V=confidence_V,
            depth_ratio=0.0,
            estimator=GROUND_TRUTH,
            T_world_cube=torch.from_numpy(placed.T_world_cube),
            draws=draw_step(self.seed, epoch, index, LATENT_SHAPE),
        )

    def collate(self, samples: Sequence[StructureSample]) -> StructureBatch:
        return structure_batch(samples)


def _random_view_with_depth(objects: ObjectDataset, uid: str, rng: np.random.Generator) -> ObjectView:
    kind, number = random_view(objects, uid, rng)
    with errors.row(f"{objects.root.location}, {kind} view {number} of asset {uid}"):
        view = objects.view(uid, kind, number, images=["rgba", "depth"])
        if view.depth is None:
            raise ValueError("its depth was not stored")
    if not np.isfinite(view.depth).any():
        raise errors.Rejected(NOTHING_SEEN)
    return view


def covered(mask_HW: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """(H, W) bool: a random half-plane or disc that covers `share` of the pixels of a mask."""
    angle, centre, in_disc = rng.uniform(0, 2 * np.pi), rng.random(), rng.random() < DISC_SHARE
    rows_P, columns_P = np.nonzero(mask_HW)
    if share <= 0 or not len(rows_P):
        return np.zeros_like(mask_HW)
    row_H1, column_1W = np.ogrid[: mask_HW.shape[0], : mask_HW.shape[1]]
    number = int(centre * len(rows_P))
    if in_disc:
        far_HW = np.hypot(row_H1 - rows_P[number], column_1W - columns_P[number])
    else:
        far_HW = row_H1 * np.sin(angle) + column_1W * np.cos(angle)
    return far_HW < np.quantile(far_HW[mask_HW], share)


def _images(
    view: ObjectView, mask_HW: np.ndarray, rng: np.random.Generator, size: int, blur: int | None
) -> InstanceImages:
    """The encoders' images of a lone object. mask_HW: its visible part; the cover is of one random colour.

    size: edge S. blur: edge that the crop is scaled down to and back; None for none.
    """
    assert view.rgba is not None and view.depth is not None
    scene_id, colour_3 = int(rng.integers(1 << 62)), rng.integers(256, size=3)
    rgb = np.where((np.isfinite(view.depth) & ~mask_HW)[..., None], colour_3.astype(np.uint8), premultiplied(view.rgba))
    rows, columns = np.nonzero(mask_HW)
    box = crop_box((int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())))
    return InstanceImages(
        scene_id,
        resized(rgb, size),
        torch.from_numpy(squeezed_mask(mask_HW, size).copy()),
        blurred(cropped(rgb, mask_HW, True, box, size), blur),
    )
