"""An asset rotated at random: uniform on SO(3), scaled back into the unit cube, and voxelised again.

Shapes: R rotations, V vertices, N voxels.
"""

from dataclasses import dataclass

import numpy as np

from scenegen.contract.objects import ObjectGeometry
from scenegen.contract.voxels import surface_voxels


@dataclass(frozen=True, slots=True)
class RotatedAsset:
    """T_rot_obj: (4, 4), canonical coordinates to those of the rotated asset. voxels: (N, 3) uint8, its own, sorted."""

    rotation_index: int
    T_rot_obj: np.ndarray
    voxels: np.ndarray


def uniform_rotations(count: int, rng: np.random.Generator) -> np.ndarray:
    """(R, 3, 3): the identity, then rotations that are uniform on SO(3), from normalised Gaussian quaternions.

    A longer list begins with the shorter one. Source: Marsaglia 1972 (points on the 3-sphere).
    """
    rotations = np.tile(np.eye(3), (count, 1, 1))
    for index in range(1, count):
        quaternion = rng.standard_normal(4)
        rotations[index] = rotation_matrix(quaternion / np.linalg.norm(quaternion))
    return rotations


def rotation_matrix(unit_wxyz: np.ndarray) -> np.ndarray:
    """(3, 3) of a unit quaternion."""
    w, x, y, z = unit_wxyz
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def rotated(geometry: ObjectGeometry, rotation_33: np.ndarray, rotation_index: int) -> RotatedAsset:
    """The asset in another pose; index 0 is the canonical pose.

    The voxels are those of the rotated mesh, because rotated voxels would leave holes and double layers.
    """
    if rotation_index == 0:
        return RotatedAsset(0, np.eye(4), geometry.voxels)
    vertices = geometry.vertices.astype(np.float64) @ rotation_33.T
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    T = np.eye(4)
    scale = 1.0 / (high - low).max()
    T[:3, :3] = scale * rotation_33
    T[:3, 3] = -scale * (low + high) / 2
    voxels = surface_voxels(geometry.vertices.astype(np.float64) @ T[:3, :3].T + T[:3, 3], geometry.faces)
    return RotatedAsset(rotation_index, T, voxels)
