"""The middle of thick walls: a surface is one voxel thick, and a network unsure where it lies answers with three.

Meshes of thick walls have two surfaces, both beside the true one, and cost more. Neither the paper of 3D-Fixer
nor its release does this.

Shapes: R grid edge, V voxels.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import binary_closing, gaussian_filter, map_coordinates
from torch import Tensor

SMOOTHING = 1.0  # voxels
SURE = 6.0
"""Logits beyond are taken as this: that empty space is still emptier further out says nothing of the wall."""
TOLERANCE = 0.8
"""Of the logits: nearly as likely as the ridge itself is enough, so that it is closed where it bends."""
_PAD = 3


def ridge(logits_RRR: Tensor, voxels_V3: Tensor) -> Tensor:
    """Those of the voxels that are likelier occupied than what lies one voxel away on either side, across the wall; and
    those that close the holes between them.

    Across is the direction in which the smoothed logits bend down the most.
    """
    field = np.pad(logits_RRR.float().clamp(-SURE, SURE).cpu().numpy(), _PAD, constant_values=-SURE)
    index_V3 = voxels_V3.cpu().numpy().astype(int) + _PAD
    smooth, across_V3 = gaussian_filter(field, SMOOTHING), _sharpest_bend(field, index_V3)
    here, ahead, behind = (map_coordinates(smooth, (index_V3 + step * across_V3).T, order=1) for step in (0, 1, -1))
    ridge_V3 = index_V3[here + TOLERANCE >= np.maximum(ahead, behind)]
    wall = np.zeros(field.shape, bool)
    wall[tuple(ridge_V3.T)] = True
    kept_V = binary_closing(wall, np.ones((3, 3, 3)))[tuple(index_V3.T)]
    return voxels_V3[torch.from_numpy(kept_V).to(voxels_V3.device)]


def _sharpest_bend(field: np.ndarray, index_V3: np.ndarray) -> np.ndarray:
    """(V, 3) unit vectors: of the smoothed field's second derivatives, the eigenvector of the least eigenvalue."""
    hessian_V33, axes = np.empty((len(index_V3), 3, 3)), np.eye(3, dtype=int)
    for a in range(3):
        for b in range(a, 3):
            bend = gaussian_filter(field, SMOOTHING, order=(axes[a] + axes[b]).tolist())[tuple(index_V3.T)]
            hessian_V33[:, a, b] = hessian_V33[:, b, a] = bend
    return np.linalg.eigh(hessian_V33).eigenvectors[:, :, 0]
