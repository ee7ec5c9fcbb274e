"""An asset in a random rotation, as SLAT stages need it: its voxels there, and its latent or image features in them.

Stored latents are of rotations that were rendered and encoded beforehand. Without them the mesh is rotated and
voxelised again, and each voxel takes the image features of the nearest canonical voxel, which the stage's frozen
encoder then encodes. No views are needed, and a feature is at most a voxel's diagonal off its place.

Shapes: N voxels, M canonical voxels, C feature channels, L points, K neighbours, S offsets along an axis, V vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipelines.train.data import errors
from pipelines.train.data.randomness import RotationAxis, random_rotation
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.objects import GRID, ObjectGeometry
from scenegen.contract.voxels import CUBE_MARGIN, surface_voxels

TOO_MANY = "too many voxels"
_REACHES = (1, 2, 3)
_QUERIES_AT_ONCE = 256


@dataclass(frozen=True)
class RotatedAsset:
    """An asset in one rotation.

    T_rot_obj: (4, 4) float64 similarity, canonical coordinates to those of the rotated asset in the unit cube.
    coords_N3: uint8, its voxels, sorted. Either slat_N8 (float32, posterior mean) or feats_NC (float16, image features)
    is given.
    """

    T_rot_obj: np.ndarray
    coords_N3: Tensor
    slat_N8: Tensor | None = None
    feats_NC: Tensor | None = None


def asset_with_latent(
    objects: ObjectDataset, uid: str, encoder: str, rotate: bool, rng: np.random.Generator
) -> RotatedAsset:
    """The asset in a random stored rotation, or in the canonical one, with its stored latent. Raises BadRowError.

    encoder: name of the table of latents.
    """
    with errors.row(f"{objects.root.location}, latents {encoder} of asset {uid}"):
        rotations = objects.rotations(uid, encoder)
        chosen = int(rng.integers(len(rotations))) if rotations else 0
        latents = objects.latents(uid, encoder, rotations[chosen] if rotate else 0)
        if latents.slat is None:
            raise ValueError("no structured latent is stored; the SLAT encoder was not given")
    return RotatedAsset(latents.T_rot_obj, torch.tensor(latents.coords), slat_N8=torch.tensor(latents.slat))


def asset_with_features(
    objects: ObjectDataset,
    geometry: ObjectGeometry,
    extractor: str,
    rotate: bool,
    rng: np.random.Generator,
    axis: RotationAxis = "any",
) -> RotatedAsset:
    """The asset in a random rotation, or in the canonical one, with image features. Raises BadRowError.

    extractor: name of the table of features.
    """
    rotation = random_rotation(rng, axis)
    with errors.row(f"{objects.root.location}, features {extractor} of asset {geometry.asset_uid}"):
        feats_MC = objects.features(geometry.asset_uid, extractor).feats
        if len(feats_MC) != len(geometry.voxels):
            raise ValueError(f"{len(feats_MC)} rows for {len(geometry.voxels)} voxels")
    if not rotate:
        return RotatedAsset(np.eye(4), torch.tensor(geometry.voxels), feats_NC=torch.tensor(feats_MC))
    T_rot_obj = normalising_transform(geometry.vertices, rotation)
    coords_N3 = surface_voxels(transformed(geometry.vertices, T_rot_obj), geometry.faces)
    T_obj_rot = np.linalg.inv(T_rot_obj)
    centres_N3 = transformed((coords_N3 + 0.5) / GRID - 0.5, T_obj_rot)
    nearest_N = nearest_voxels((centres_N3 + 0.5) * GRID, geometry.voxels)
    return RotatedAsset(T_rot_obj, torch.from_numpy(coords_N3), feats_NC=torch.from_numpy(feats_MC[nearest_N]))


def normalising_transform(vertices_V3: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """(4, 4) float64: rotates a mesh, and scales and centres it so that its longest side fills the unit cube again."""
    rotated = vertices_V3.astype(np.float64) @ rotation.T
    low, high = rotated.min(axis=0), rotated.max(axis=0)
    scale = (1 - 2 * CUBE_MARGIN) / (high - low).max()
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = scale * rotation, -scale * (low + high) / 2
    return T


def transformed(points_P3: np.ndarray, T: np.ndarray) -> np.ndarray:
    """[P, 3] float64: points under a (4, 4) transform."""
    return points_P3.astype(np.float64) @ T[:3, :3].T + T[:3, 3]


def nearest_voxels(points_N3: np.ndarray, voxels_M3: np.ndarray) -> np.ndarray:
    """[N] int64: for each point the row of the voxel with the nearest centre.

    points_N3: float, in grid coordinates, in which voxel i is [i, i + 1). voxels_M3: integer indices.
    Looks at the voxel that holds the point, then at neighbours farther and farther away, at last at all voxels.
    """
    edge = GRID + 2 * _REACHES[-1]  # with a border, so that neighbours are never outside
    stride_3 = np.array([edge * edge, edge, 1])
    row_of = np.full(edge**3, -1, np.int32)
    row_of[(voxels_M3.astype(np.int64) + _REACHES[-1]) @ stride_3] = np.arange(len(voxels_M3))
    cell_N3 = np.clip(np.floor(points_N3).astype(np.int64), 0, GRID - 1)
    code_N = (cell_N3 + _REACHES[-1]) @ stride_3
    found_N = row_of[code_N].astype(np.int64)
    (left,) = np.nonzero(found_N < 0)
    for reach in _REACHES:
        row_L, squared_L = _nearest_around(row_of, stride_3, code_N[left], (cell_N3 - points_N3)[left], reach)
        sure_L = squared_L <= (reach + 0.5) ** 2  # no voxel outside this neighbourhood is nearer
        found_N[left[sure_L]] = row_L[sure_L]
        left = left[~sure_L]
    for part in np.split(left, range(_QUERIES_AT_ONCE, len(left), _QUERIES_AT_ONCE)):
        squared = np.square(points_N3[part, None] - (voxels_M3 + 0.5)).sum(axis=-1)
        found_N[part] = squared.argmin(axis=1)
    return found_N


def _nearest_around(
    row_of: np.ndarray, stride_3: np.ndarray, code_L: np.ndarray, corner_L3: np.ndarray, reach: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and squared distances of the nearest voxels among the neighbours up to `reach` away; inf without any.

    row_of: row of the voxel in each cell of the bordered grid, -1 for none. code_L: flat cell of each point.
    corner_L3: from each point to the lower corner of its cell.
    """
    steps = np.arange(-reach, reach + 1)
    offsets = (steps[:, None, None] * stride_3[0] + steps[:, None] * stride_3[1] + steps * stride_3[2]).ravel()
    row_LK = row_of[code_L[:, None] + offsets]
    x_LS, y_LS, z_LS = np.square(corner_L3[:, :, None] + steps + 0.5).astype(np.float32).transpose(1, 0, 2)
    squared_LK = (x_LS[:, :, None, None] + y_LS[:, None, :, None] + z_LS[:, None, None, :]).reshape(row_LK.shape)
    squared_LK[row_LK < 0] = np.inf
    best_L1 = squared_LK.argmin(axis=1)[:, None]
    return np.take_along_axis(row_LK, best_L1, 1)[:, 0], np.take_along_axis(squared_LK, best_L1, 1)[:, 0]
