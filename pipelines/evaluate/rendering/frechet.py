"""The Fréchet distance between two sets of images, each as a Gaussian over their features.

Shapes: N images, D features.
"""

from __future__ import annotations

import numpy as np


def frechet_distance(first_ND: np.ndarray, second_ND: np.ndarray) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Heusel et al. 2017).

    Computed by symmetric eigenvalues, which stays real where the general matrix root does not. It grows when there are
    few images, so compare only sets of one size. Raises ValueError for fewer than two images.
    """
    if min(len(first_ND), len(second_ND)) < 2:
        raise ValueError("a Fréchet distance needs at least two images on each side")
    first, second = first_ND.astype(np.float64), second_ND.astype(np.float64)
    gap_D = first.mean(axis=0) - second.mean(axis=0)
    cov_1, cov_2 = np.atleast_2d(np.cov(first, rowvar=False)), np.atleast_2d(np.cov(second, rowvar=False))
    values, vectors = np.linalg.eigh(cov_1)
    root_1 = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root_1 @ cov_2 @ root_1).clip(min=0)).sum()
    return float(gap_D @ gap_D + np.trace(cov_1) + np.trace(cov_2) - 2 * overlap)
