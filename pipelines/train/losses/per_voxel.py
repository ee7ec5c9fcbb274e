"""The mean over the voxels of a sample."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def voxel_mean_B(values_NC: Tensor, lengths: Sequence[int]) -> Tensor:
    """[B]: the mean over all values of each sample's voxels; 0 for a sample without voxels.

    values_NC: rows of one sample after the other. lengths: number of rows of each sample.
    Every sample has the same weight, however many voxels it has, as in the official training, whose micro-batches are
    single samples.
    """
    return torch.stack([part.sum() / max(part.numel(), 1) for part in values_NC.split(list(lengths))])
