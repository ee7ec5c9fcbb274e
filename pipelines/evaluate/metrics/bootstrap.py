"""Confidence intervals of means and of ratios of means: percentile bootstrap over scenes.

Objects of one scene share its depth, light and clutter, so scenes are resampled, not objects; resampling objects would
make intervals too narrow. Shapes: N values, G groups, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, or a ratio of means, with its 95 % confidence interval; low and high are None for one group only."""

    mean: float
    low: float | None
    high: float | None
    count: int


def mean_with_interval(
    values: Sequence[float], groups: Sequence[str], rng: np.random.Generator, resamples: int = 2000, level: float = 0.95
) -> Estimate | None:
    """The mean of all values, and its interval when whole groups are resampled with replacement. None without values.

    For paired differences this is the paired bootstrap. Raises ValueError if a value has no group or is not finite.
    """
    return ratio_with_interval(values, [1.0] * len(values), groups, rng, resamples, level)


def ratio_with_interval(
    above: Sequence[float],
    below: Sequence[float],
    groups: Sequence[str],
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate | None:
    """The mean of `above` divided by that of `below`, whose values are paired, and its interval as above.

    None without values, or if a resampled mean of `below` is 0. Raises ValueError for values that do not match, have no
    group or are not finite.
    """
    if not len(above) == len(below) == len(groups) or not np.isfinite([above, below]).all():
        raise ValueError("every value needs a group and must be finite; leave missing ones out, or penalise them")
    if not len(above):
        return None
    above_N, below_N = np.asarray(above, np.float64), np.asarray(below, np.float64)
    names, group_N = np.unique(groups, return_inverse=True)
    drawn_RG = rng.integers(0, len(names), (resamples, len(names)))
    above_R, below_R = (np.bincount(group_N, values)[drawn_RG].sum(axis=1) for values in (above_N, below_N))
    if not below_N.sum() or not below_R.all():
        return None
    ratio = float(above_N.sum() / below_N.sum())
    if len(names) == 1:
        return Estimate(ratio, None, None, len(above_N))
    low, high = np.quantile(above_R / below_R, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(ratio, float(low), float(high), len(above_N))
