"""Aligns an estimator's map to the true depth in metres: robust fits for each image and instance, and their errors.

Every fit minimises the relative error of depth, (depth - truth) / truth, so that near and far pixels count alike. With
the unknown coefficients x, each kind of alignment is a linear equation whose right-hand side is 1:

    scale                (map / truth) x0                    = 1
    scale_shift          (map / truth) x0 + (1 / truth) x1   = 1
    inverse_scale_shift  (truth map)   x0 + truth x1         = 1     (a relative error of inverse depth)

One trimmed least-squares fit serves all kinds: an initial fit that is robust against half of the pixels, then least
squares on the pixels that agree with it. Figures and alternatives are in README.md.
"""

import numpy as np
from scipy import ndimage

from scenegen.contract.records import FIRST_OBJECT_ID
from scenegen.contract.sidecar import Alignment, AlignmentKind, DepthErrors, InstanceAlignment

MIN_PIXELS = 16
_FITTED_PIXELS = 1 << 15  # more do not improve a fit of two numbers
_HYPOTHESES = 128
_CONSENSUS_PIXELS = 2048
_TRIM = 2.5  # times the robust standard deviation of the residuals
_FINEST_TRIM = 0.01  # relative error below which nothing is an outlier
_ROUNDS = 10
_EDGE_SHARE = 6 / 1024  # of the image's width; the official loader erodes masks as far


def align_image(
    estimate: np.ndarray, truth_m: np.ndarray, valid: np.ndarray, kind: AlignmentKind, rng: np.random.Generator
) -> Alignment | None:
    """Fit a map to the true depth over the pixels that are valid in both.

    estimate, truth_m: (H, W) float. valid: (H, W) bool, where the estimate is usable. rng: draws the fit's samples.
    Returns None if fewer than MIN_PIXELS pixels are common, or if no positive scale fits.
    """
    common = valid & np.isfinite(estimate) & np.isfinite(truth_m)
    if int(common.sum()) < MIN_PIXELS:
        return None
    values, truth = estimate[common].astype(np.float64), truth_m[common].astype(np.float64)
    if len(truth) > _FITTED_PIXELS:
        chosen = rng.choice(len(truth), _FITTED_PIXELS, replace=False)
        values, truth = values[chosen], truth[chosen]
    design = _design(values, truth, kind)
    start = _consensus(design, rng) if design.shape[1] == 2 else np.array([1 / max(np.median(design), 1e-12)])
    if start is None:
        return None
    solution, inliers = _trimmed(design, start)
    if not solution[0] > 0:
        return None
    shift = float(solution[1]) if len(solution) == 2 else 0.0
    return Alignment(kind, float(solution[0]), shift, float(inliers.mean()))


def align_instances(
    aligned_m: np.ndarray, truth_m: np.ndarray, instance_id: np.ndarray, valid: np.ndarray
) -> tuple[InstanceAlignment, ...]:
    """For each visible object, the scale that puts it at its true depth.

    aligned_m: (H, W) float, depth after the image's alignment. truth_m: (H, W) float. instance_id: (H, W) integer ids.
    valid: (H, W) bool. Pixels near a mask's edge are left out, unless too few would remain. Objects with fewer than
    MIN_PIXELS common pixels are left out.
    """
    common = valid & np.isfinite(aligned_m) & np.isfinite(truth_m)
    radius = max(1, round(_EDGE_SHARE * truth_m.shape[1]))
    found = []
    for index, window in enumerate(ndimage.find_objects(instance_id.astype(np.int32)), 1):
        if window is None or index < FIRST_OBJECT_ID:
            continue
        mask = instance_id[window] == index
        interior = ndimage.binary_erosion(mask, iterations=radius) & common[window]
        if int(interior.sum()) < MIN_PIXELS:
            interior = mask & common[window]
        if int(interior.sum()) < MIN_PIXELS:
            continue
        depth = aligned_m[window][interior].astype(np.float64)
        truth = truth_m[window][interior].astype(np.float64)
        design = (depth / truth)[:, None]
        (scale,), _ = _trimmed(design, np.array([1 / np.median(design)]))
        found.append(InstanceAlignment(index, float(scale), len(truth), depth_errors(scale * depth, truth)))
    return tuple(found)


def depth_errors(depth_m: np.ndarray, truth_m: np.ndarray) -> DepthErrors:
    """Errors over all pixels. Both arrays have the same shape, and are positive and finite."""
    depth, truth = depth_m.astype(np.float64), truth_m.astype(np.float64)
    ratio = np.maximum(depth / truth, truth / depth)
    return DepthErrors(float((np.abs(depth - truth) / truth).mean()), float((ratio < 1.25).mean()))


def masked_errors(depth_m: np.ndarray, truth_m: np.ndarray, valid: np.ndarray) -> DepthErrors | None:
    """Errors over the pixels of an image that are valid in both; None if there are none."""
    common = valid & np.isfinite(depth_m) & np.isfinite(truth_m) & (np.nan_to_num(depth_m) > 0)
    return depth_errors(depth_m[common], truth_m[common]) if common.any() else None


def _design(values: np.ndarray, truth: np.ndarray, kind: AlignmentKind) -> np.ndarray:
    """(N, 1 or 2) coefficients of the linear equations whose right-hand side is 1."""
    if kind == "scale":
        return (values / truth)[:, None]
    if kind == "scale_shift":
        return np.stack([values / truth, 1 / truth], axis=1)
    return np.stack([truth * values, truth], axis=1)


def _consensus(design: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """The line through two random pixels with the least median residual; None if no line has a positive scale."""
    sample = design[rng.choice(len(design), min(len(design), _CONSENSUS_PIXELS), replace=False)]
    pairs = sample[rng.integers(0, len(sample), (_HYPOTHESES, 2))]
    determinant = pairs[:, 0, 0] * pairs[:, 1, 1] - pairs[:, 0, 1] * pairs[:, 1, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (pairs[:, 1, 1] - pairs[:, 0, 1]) / determinant
        shift = (pairs[:, 0, 0] - pairs[:, 1, 0]) / determinant
    usable = np.isfinite(scale) & np.isfinite(shift) & (scale > 0)
    lines = np.stack([scale, shift], axis=1)[usable]
    plain = np.linalg.lstsq(sample, np.ones(len(sample)), rcond=None)[0]
    if plain[0] > 0:
        lines = np.concatenate([lines, plain[None]])
    if not len(lines):
        return None
    residual = np.abs(lines @ sample.T - 1)
    return lines[np.median(residual, axis=1).argmin()]


def _trimmed(design: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares on the inliers, repeated until these no longer change: (coefficients, inliers)."""
    solution, inliers = start, np.zeros(len(design), bool)
    for _ in range(_ROUNDS):
        residual = np.abs(design @ solution - 1)
        limit = max(_TRIM * 1.4826 * float(np.median(residual)), _FINEST_TRIM)
        agreeing = residual <= limit
        if (agreeing == inliers).all():
            break
        inliers = agreeing
        solution = np.linalg.lstsq(design[inliers], np.ones(int(inliers.sum())), rcond=None)[0]
    return solution, inliers
