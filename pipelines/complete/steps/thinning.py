"""Thinning: keeps the middle of walls that are several voxels thick.

A surface is one voxel thick, but a network that is unsure where it lies occupies three. The mesh of a thick wall has
two surfaces, both beside the true one, and costs more. Neither the paper of 3D-Fixer nor its release does this.

Shapes: R grid edge, V voxels.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import binary_closing, gaussian_filter, map_coordinates
from torch import Tensor

SMOOTHING = 1.0  # voxels
SURE = 6.0
"""Logits are clamped to this: how much more certain empty space becomes further out says nothing about the wall."""
TOLERANCE = 0.8
"""In logits: voxels nearly as likely as the ridge belong to it, so that it stays closed where it bends."""
_PAD = 3


def ridge(logits_RRR: Tensor, voxels_V3: Tensor) -> Tensor:
    """The voxels on the ridge of the logits, and those that close the holes between them.

    A voxel is on the ridge if it is more likely occupied than both neighbours across the wall (non-maximum
    suppression). Across the wall is the direction of the strongest negative curvature of the smoothed logits.
    """
    field = np.pad(logits_RRR.float().clamp(-SURE, SURE).cpu().numpy(), _PAD, constant_values=-SURE)
    index_V3 = voxels_V3.cpu().numpy().astype(int) + _PAD
    smooth, across_V3 = gaussian_filter(field, SMOOTHING), _across_wall(field, index_V3)
    here, ahead, behind = (map_coordinates(smooth, (index_V3 + step * across_V3).T, order=1) for step in (0, 1, -1))
    ridge_V3 = index_V3[here + TOLERANCE >= np.maximum(ahead, behind)]
    wall = np.zeros(field.shape, bool)
    wall[tuple(ridge_V3.T)] = True
    kept_V = binary_closing(wall, np.ones((3, 3, 3)))[tuple(index_V3.T)]
    return voxels_V3[torch.from_numpy(kept_V).to(voxels_V3.device)]


def _across_wall(field: np.ndarray, index_V3: np.ndarray) -> np.ndarray:
    """(V, 3) unit vectors: the eigenvector of the smallest eigenvalue of the smoothed field's Hessian."""
    hessian_V33, axes = np.empty((len(index_V3), 3, 3)), np.eye(3, dtype=int)
    for a in range(3):
        for b in range(a, 3):
            second = gaussian_filter(field, SMOOTHING, order=(axes[a] + axes[b]).tolist())[tuple(index_V3.T)]
            hessian_V33[:, a, b] = hessian_V33[:, b, a] = second
    return np.linalg.eigh(hessian_V33).eigenvectors[:, :, 0]
