"""Losses of occupancy grids, per sample.

Shapes: B samples, R grid edge. Logits and targets (float32, 0 or 1) are [B, 1, R, R, R].
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def dice_B(logits_B1RRR: Tensor, target_B1RRR: Tensor) -> Tensor:
    """[B] Dice loss, 1 - 2 |p y| / (|p| + |y|), smoothed by one voxel; it does not depend on how few are occupied."""
    p, y = logits_B1RRR.float().sigmoid().flatten(1), target_B1RRR.flatten(1)
    return 1 - (2 * (p * y).sum(1) + 1) / (p.sum(1) + y.sum(1) + 1)


def cross_entropy_B(logits_B1RRR: Tensor, target_B1RRR: Tensor) -> Tensor:
    """[B] binary cross-entropy, averaged over the voxels."""
    return F.binary_cross_entropy_with_logits(logits_B1RRR.float(), target_B1RRR, reduction="none").flatten(1).mean(1)
