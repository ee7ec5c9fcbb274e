"""How sure is a mean: percentile bootstrap over scenes.

Objects of one scene share its depth, light and clutter, so scenes are drawn, not objects; drawing objects would make
intervals too narrow. Shapes: N values, G groups, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % confidence interval; low and high are None when there is one group only."""

    mean: float
    low: float | None
    high: float | None
    count: int


def mean_with_interval(
    values: Sequence[float], groups: Sequence[str], rng: np.random.Generator, resamples: int = 2000, level: float = 0.95
) -> Estimate | None:
    """The plain mean of all values, and its interval when whole groups are drawn with replacement. None without values.

    Raises ValueError if a value has no group or is not finite.
    """
    if len(values) != len(groups) or not np.isfinite(values).all():
        raise ValueError("every value needs a group and must be finite; leave missing ones out, or penalise them")
    if not len(values):
        return None
    array = np.asarray(values, np.float64)
    names, group_N = np.unique(groups, return_inverse=True)
    if len(names) == 1:
        return Estimate(float(array.mean()), None, None, len(array))
    sums_G, counts_G = np.bincount(group_N, array), np.bincount(group_N)
    drawn_RG = rng.integers(0, len(names), (resamples, len(names)))
    means_R = sums_G[drawn_RG].sum(axis=1) / counts_G[drawn_RG].sum(axis=1)
    low, high = np.quantile(means_R, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(array.mean()), float(low), float(high), len(array))
