"""Averages over the voxels of a sample."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def voxel_mean_B(values_NC: Tensor, lengths: Sequence[int]) -> Tensor:
    """[B] mean over all values of each sample's voxels; rows lie sample after sample. A sample without voxels gets 0.

    Every sample counts the same, however many voxels it has: the released training does so too, since its micro-batch
    is one sample.
    """
    return torch.stack([part.sum() / max(part.numel(), 1) for part in values_NC.split(list(lengths))])
