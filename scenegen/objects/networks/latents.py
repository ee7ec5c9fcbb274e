"""The rows of a latents table: an asset in its canonical pose and rotated at random, as the encoders see it.

Shapes: R rotations, N voxels, C feature channels.
"""

import numpy as np
import torch
from torch import Tensor

from scenegen.contract.objects import ObjectGeometry, ObjectLatents, VoxelFeatures
from scenegen.objects.networks.encoders import LatentEncoders
from scenegen.objects.networks.projection import FeatureViews, Visibility
from scenegen.objects.networks.rotations import RotatedAsset, rotated

MAX_VOXELS = 32_768
"""Poses with more voxels are left out, as the official trainer does."""


def asset_latents(
    geometry: ObjectGeometry,
    encoders: LatentEncoders,
    rotations_R33: np.ndarray,
    features: VoxelFeatures | None = None,
    views: FeatureViews | None = None,
    visibility: Visibility = "seen",
) -> list[ObjectLatents]:
    """One row for each rotation of `uniform_rotations`, except those with more than MAX_VOXELS voxels.

    features: of the canonical pose, from the features table. views: for the rotated poses, whose features are looked up
    in the same views at the positions that their voxels have in the canonical frame. Only a SLAT encoder needs both.
    Raises ValueError if a SLAT encoder lacks what it needs, AssetError if no view sees the asset.
    """
    poses = [rotated(geometry, rotation, index) for index, rotation in enumerate(rotations_R33)]
    poses = [pose for pose in poses if len(pose.voxels) <= MAX_VOXELS]
    voxels = [pose.voxels for pose in poses]
    structures = encoders.structure(voxels)
    slats: list[np.ndarray | None] = [None] * len(poses)
    if encoders.wants_features:
        slats = [*encoders.slat(voxels, [_features(pose, features, views, visibility) for pose in poses])]
    return [
        ObjectLatents(geometry.asset_uid, pose.rotation_index, pose.T_rot_obj, pose.voxels, slat, structure)
        for pose, slat, structure in zip(poses, slats, structures, strict=True)
    ]


def _features(
    pose: RotatedAsset, features: VoxelFeatures | None, views: FeatureViews | None, visibility: Visibility
) -> Tensor:
    """[N, C] features of a pose's voxels."""
    if pose.rotation_index == 0:
        if features is None:
            raise ValueError("a SLAT encoder needs the features of the asset's voxels")
        return torch.from_numpy(features.feats.astype(np.float32))
    if views is None:
        raise ValueError("turned poses need the feature views of the asset")
    feats_NC, _ = views.at(pose.voxels, pose.T_rot_obj, visibility)
    return feats_NC
