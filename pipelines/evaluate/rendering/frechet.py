"""The Fréchet distance between two sets of images, each modelled as a Gaussian over their features.

Shapes: N images, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def frechet_distance(first_ND: np.ndarray, second_ND: np.ndarray) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Heusel et al. 2017).

    With C = A^T A for the centred, scaled features A, the trace of (C1 C2)^(1/2) is the sum of the singular values of
    A1 A2^T: no root of a singular matrix is taken, so that few images and equal sets lose no digits. The distance is
    larger for fewer images; compare only sets of one size. Raises ValueError for fewer than two images.
    """
    if min(len(first_ND), len(second_ND)) < 2:
        raise ValueError("a Fréchet distance needs at least two images on each side")
    first, second = _Gaussian.of(first_ND), _Gaussian.of(second_ND)
    gap_D = first.mean_D - second.mean_D
    overlap = np.linalg.svd(first.factor_RD @ second.factor_RD.T, compute_uv=False).sum()
    variance = (first.factor_RD**2).sum() + (second.factor_RD**2).sum()
    return float(gap_D @ gap_D + variance - 2 * overlap)


@dataclass(frozen=True, slots=True)
class _Gaussian:
    """mean_D, and factor_RD: R = min(N, D) rows, with covariance = factor_RD^T factor_RD."""

    mean_D: np.ndarray
    factor_RD: np.ndarray

    @classmethod
    def of(cls, features_ND: np.ndarray) -> _Gaussian:
        features = features_ND.astype(np.float64)
        mean_D = features.mean(axis=0)
        return cls(mean_D, np.linalg.qr(features - mean_D, mode="r") / np.sqrt(len(features) - 1))
