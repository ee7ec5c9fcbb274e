"""The depth that a system is given: exact, estimated or a mix, and how the estimate is aligned to metres.

Shapes: H, W image, P pixels, T trials.
"""

from __future__ import annotations

import numpy as np

from pipelines.errors import PipelineError, UsageError
from pipelines.evaluate.records.options import GROUND_TRUTH, Alignment, DepthChoice
from pipelines.evaluate.records.truth import TruthSet, TruthView

_TRIALS = 100
_SAMPLE_SHARE = 0.2
_MIN_PIXELS = 16


def depth_for(view: TruthView, truth: TruthSet, choice: DepthChoice, seed: int) -> np.ndarray:
    """(H, W) planar depth in metres, NaN where either part of the mix is unknown. seed: of the RANSAC fit.

    Raises PipelineError if the estimate cannot be aligned, UsageError if it is not metric and no alignment was chosen.
    """
    if choice.source == GROUND_TRUTH:
        return view.depth_HW
    estimate_HW, metric = truth.depth_estimate(view.key, choice.source)
    if choice.alignment == "none" and not metric:
        raise UsageError(
            f"{choice.source} gives no metres, so without alignment nothing says how large things are; "
            "choose --alignment gt_affine, or a metric estimator"
        )
    foreground_HW = np.isin(view.instance_HW, [one.instance_id for one in view.objects])
    scale, shift = _fit(estimate_HW, view, foreground_HW, choice.alignment, seed)
    return choice.ratio * (scale * estimate_HW + shift) + (1 - choice.ratio) * view.depth_HW


def affine_ransac(estimate_P: np.ndarray, truth_P: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """(scale, shift) of truth = scale * estimate + shift, as the official scripts fit it.

    RANSAC: lines are fitted to random fifths of the pixels; inliers lie within the median absolute deviation of the
    truth; the line with most inliers (of equals, the one with the lowest squared error) is fitted again to its inliers.
    """
    limit = float(np.median(np.abs(truth_P - np.median(truth_P))))
    size = max(int(np.ceil(_SAMPLE_SHARE * len(truth_P))), 2)
    best, best_score = np.ones(len(truth_P), bool), (-1, 0.0)
    for _ in range(_TRIALS):
        chosen = rng.choice(len(truth_P), size, replace=False, shuffle=False)
        scale, shift = _line(estimate_P[chosen], truth_P[chosen])
        residual_P = np.abs(scale * estimate_P + shift - truth_P)
        inliers = residual_P <= limit
        score = (int(inliers.sum()), -float((residual_P[inliers] ** 2).sum()))
        if score > best_score:
            best, best_score = inliers, score
    return _line(estimate_P[best], truth_P[best])


def _fit(
    estimate_HW: np.ndarray, view: TruthView, foreground_HW: np.ndarray, alignment: Alignment, seed: int
) -> tuple[float, float]:
    """(scale, shift) of the estimate, from the pixels of the judged objects."""
    if alignment == "none":
        return 1.0, 0.0
    common = foreground_HW & np.isfinite(estimate_HW) & np.isfinite(view.depth_HW)
    if int(common.sum()) < _MIN_PIXELS:
        raise PipelineError(f"{view.key}: fewer than {_MIN_PIXELS} object pixels have estimated and exact depth")
    estimate_P, truth_P = estimate_HW[common].astype(np.float64), view.depth_HW[common].astype(np.float64)
    if alignment == "gt_scale":
        return float((estimate_P @ truth_P) / (estimate_P @ estimate_P)), 0.0
    return affine_ransac(estimate_P, truth_P, np.random.default_rng(seed))


def _line(x_P: np.ndarray, y_P: np.ndarray) -> tuple[float, float]:
    """(slope, intercept) by least squares; a flat line if x does not vary."""
    x_mean, y_mean = x_P.mean(), y_P.mean()
    variance = float(((x_P - x_mean) ** 2).sum())
    scale = float(((x_P - x_mean) * (y_P - y_mean)).sum()) / variance if variance > 0 else 0.0
    return scale, float(y_mean - scale * x_mean)
