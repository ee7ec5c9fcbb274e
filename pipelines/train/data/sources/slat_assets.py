"""What the sources of structured latents share: an asset in some rotation, with its latent or with image features."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pipelines.train.data import errors
from pipelines.train.data.assets import AssetFacts
from pipelines.train.data.catalogue import Wanted
from pipelines.train.data.options import DataOptions
from pipelines.train.data.readers import Readers
from pipelines.train.data.rotated_assets import TOO_MANY, RotatedAsset, asset_with_features, asset_with_latent
from pipelines.train.data.sources.common import require
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.objects import ObjectGeometry

Kind = Literal["latents", "features"]


class SlatAssets:
    """Assets with their latents if the options name a table of them, or else with image features.

    always_features: image features in any case, for the stage that trains the encoder.
    Raises UsageError if a location lacks the table.
    """

    def __init__(self, options: DataOptions, readers: Readers, always_features: bool = False) -> None:
        self._options = options
        self._kind: Kind = "latents" if options.latents is not None and not always_features else "features"
        for number in range(len(readers)):
            objects = readers.objects(number)
            if self._kind == "latents":
                self._table = require("latents", options.latents, objects.encoders, objects.root.location)
            else:
                self._table = require("features", options.extractor, objects.extractors, objects.root.location)

    def wanted(self) -> Wanted:
        """The condition on assets for the catalogue: small enough for a structured latent."""
        most_voxels, most_faces = self._options.max_voxels, self._options.max_mesh_faces

        def wanted(asset: AssetFacts) -> bool:
            return asset.num_voxels <= most_voxels and asset.num_faces <= most_faces

        return wanted

    def rotated(self, objects: ObjectDataset, uid: str, rotate: bool, rng: np.random.Generator) -> RotatedAsset:
        """An asset in a random rotation, or in the canonical one.

        Raises BadRowError, or Rejected for a rotation with too many voxels.
        """
        if self._kind == "latents":
            asset = asset_with_latent(objects, uid, self._table, rotate, rng)
        else:
            axis = self._options.augmentation.axis
            asset = asset_with_features(objects, geometry_of(objects, uid), self._table, rotate, rng, axis)
        if len(asset.coords_N3) > self._options.max_voxels:
            raise errors.Rejected(TOO_MANY)
        return asset


def geometry_of(objects: ObjectDataset, uid: str) -> ObjectGeometry:
    """Mesh and voxels of an asset. Raises BadRowError."""
    with errors.row(f"{objects.root.location}, geometry of asset {uid}"):
        return objects.geometry(uid)
