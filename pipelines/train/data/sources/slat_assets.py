"""What the sources of structured latents share: one asset, turned or not, as latent or as features."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pipelines.train.data import errors
from pipelines.train.data.assets import AssetFacts
from pipelines.train.data.catalogue import Wanted
from pipelines.train.data.options import DataOptions
from pipelines.train.data.readers import Readers
from pipelines.train.data.sources.base import require
from pipelines.train.data.turning import TOO_MANY, TurnedAsset, stored_latent, with_features
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.objects import ObjectGeometry

Kind = Literal["latents", "features"]


class SlatAssets:
    """Assets of all locations with their latents, if the options name a table of them, or else with features.

    always_features: features in any case, for the stage that trains the encoder.
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
        """Assets small enough for a structured latent."""
        most_voxels, most_faces = self._options.max_voxels, self._options.max_mesh_faces

        def wanted(asset: AssetFacts) -> bool:
            return asset.num_voxels <= most_voxels and asset.num_faces <= most_faces

        return wanted

    def turned(self, objects: ObjectDataset, uid: str, turn: bool, rng: np.random.Generator) -> TurnedAsset:
        """Raises BadRowError, or Rejected for a pose with too many voxels."""
        if self._kind == "latents":
            asset = stored_latent(objects, uid, self._table, turn, rng)
        else:
            axis = self._options.augmentation.axis
            asset = with_features(objects, geometry_of(objects, uid), self._table, turn, rng, axis)
        if len(asset.coords_N3) > self._options.max_voxels:
            raise errors.Rejected(TOO_MANY)
        return asset


def geometry_of(objects: ObjectDataset, uid: str) -> ObjectGeometry:
    """Raises BadRowError."""
    with errors.row(f"{objects.root.location}, geometry of asset {uid}"):
        return objects.geometry(uid)
