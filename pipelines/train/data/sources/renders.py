"""Structured latents of assets with their renders and meshes: samples of the SLAT VAE and of both decoders.

Shapes: K views.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pipelines.train.data import errors
from pipelines.train.data.batches import RenderBatch
from pipelines.train.data.catalogue import catalogue_of_assets
from pipelines.train.data.collate import render_batch
from pipelines.train.data.options import DataOptions
from pipelines.train.data.randomness import Stream, draw_step, generator
from pipelines.train.data.readers import Readers
from pipelines.train.data.rotated_assets import transformed
from pipelines.train.data.samples import RenderSample, SampleName
from pipelines.train.data.sources.common import ROTATED_SHARE, SLAT_CHANNELS, SparseSource
from pipelines.train.data.sources.slat_assets import SlatAssets, geometry_of
from pipelines.train.interfaces.loading import Split
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.objects import ObjectView


class RenderSource(SparseSource):
    """One sample is one asset with some of its feature views, in a random or in the canonical rotation.

    See SampleSource. features: give image features even if latents are stored. mesh: also give the mesh.
    Raises UsageError for data without what is asked for.
    """

    def __init__(
        self, options: DataOptions, split: Split, seed: int, features: bool = False, mesh: bool = False
    ) -> None:
        readers = Readers(options.locations)
        self._assets, self._mesh = SlatAssets(options, readers, always_features=features), mesh
        wanted = self._assets.wanted()
        super().__init__(options, seed, readers, catalogue_of_assets(readers, options, split, wanted))

    def load(self, index: int, epoch: int) -> RenderSample:
        """Raises BadRowError, or Rejected for a rotation with too many voxels."""
        number, uid = int(self.catalogue.dataset_L[index]), self.catalogue.asset(index).uid
        objects, rng = self.readers.objects(number), generator(self.seed, Stream.SAMPLE, epoch, index)
        rotate = rng.random() < ROTATED_SHARE
        views = random_views(objects, uid, self.options.views_per_sample, rng)
        asset = self._assets.rotated(objects, uid, rotate, rng)
        mesh = geometry_of(objects, uid) if self._mesh else None
        vertices = None if mesh is None else transformed(mesh.vertices, asset.T_rot_obj).astype(np.float32)
        return RenderSample(
            name=SampleName(number, uid),
            coords_N3=asset.coords_N3,
            slat_N8=asset.slat_N8,
            feats_NC=asset.feats_NC,
            rgba_K4HW=torch.stack([_rgba(view) for view in views]),
            K_norm_K33=torch.stack([torch.from_numpy(normalised_intrinsics(view)) for view in views]),
            T_grid_cam_K44=torch.stack([torch.from_numpy(rotated_camera(view, asset.T_rot_obj)) for view in views]),
            vertices_P3=None if vertices is None else torch.from_numpy(vertices),
            faces_F3=None if mesh is None else torch.tensor(mesh.faces),
            draws=draw_step(self.seed, epoch, index, (len(asset.coords_N3), SLAT_CHANNELS)),
        )

    def collate(self, samples: Sequence[RenderSample]) -> RenderBatch:
        return render_batch(samples)


def random_views(objects: ObjectDataset, uid: str, count: int, rng: np.random.Generator) -> list[ObjectView]:
    """`count` random feature views; a view comes twice only if fewer are stored. Raises BadRowError."""
    with errors.row(f"{objects.root.location}, feature views of asset {uid}"):
        stored = objects.num_views(uid, "feature")
        if not stored:
            raise KeyError("no view is stored")
        chosen = rng.choice(stored, count, replace=count > stored)
        return [objects.view(uid, "feature", int(index), images=["rgba"]) for index in chosen]


def normalised_intrinsics(view: ObjectView) -> np.ndarray:
    """(3, 3) float64: intrinsics with rows divided by the image's width and height."""
    return np.diag([1 / view.size_px[0], 1 / view.size_px[1], 1.0]) @ view.K_px


def rotated_camera(view: ObjectView, T_rot_obj: np.ndarray) -> np.ndarray:
    """(4, 4) float64 rigid: camera to the frame of the rotated and rescaled asset, in which it sees the same image."""
    T = T_rot_obj @ view.T_obj_cam
    T[:3, :3] /= np.cbrt(np.linalg.det(T_rot_obj[:3, :3]))
    return T


def _rgba(view: ObjectView) -> Tensor:
    assert view.rgba is not None
    return torch.from_numpy(np.ascontiguousarray(view.rgba.transpose(2, 0, 1)))
