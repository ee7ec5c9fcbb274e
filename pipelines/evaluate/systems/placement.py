"""Registration of scenes that other systems predict in frames of their own, by a trimmed ICP with scale.

There is one similarity for the whole scene, never one for each object, so that errors of the layout remain. It is
fitted to the points of the given depth; with exact depth, the scale and place of the truth reach the result, and the
tables say so. Shapes: P visible points, Q predicted points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

_POINTS_EACH = 500
_ROUNDS = 30
_KEPT_SHARE = 0.8  # of the pairs; the rest may be visible parts that the prediction lacks
_YAWS = 24


@dataclass(frozen=True, slots=True)
class Fit:
    """T: (4, 4) similarity, predicted to visible frame. residual: mean distance of the kept pairs, in visible units."""

    T: np.ndarray
    residual: float


def upright_starts() -> list[np.ndarray]:
    """(3, 3) rotations about z, to start from when a prediction stands upright with an unknown heading."""
    yaws = [2 * np.pi * i / _YAWS for i in range(_YAWS)]
    return [np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) for a in yaws]


def fit_similarity(
    visible: Mapping[int, np.ndarray],
    predicted: Mapping[int, np.ndarray],
    starts: Sequence[np.ndarray],
    rng: np.random.Generator,
) -> Fit | None:
    """The similarity that lays the surface of each instance on its visible points; None without a common instance.

    visible, predicted: instance id to (P, 3) and (Q, 3). starts: (3, 3) rotations; ICP runs from each, the smallest
    residual wins. Visible points are matched with the nearest predicted ones of the same instance, not the other way
    round, since hidden points have no match.
    """
    common = sorted(visible.keys() & predicted.keys())
    if not common:
        return None
    targets = [_subsample(visible[i], rng) for i in common]
    sources = [_subsample(predicted[i], rng) for i in common]
    fits = [_icp(targets, sources, _start(targets, sources, rotation)) for rotation in starts]
    return min(fits, key=lambda fit: fit.residual)


def similarity(source_P3: np.ndarray, target_P3: np.ndarray) -> np.ndarray:
    """(4, 4) least-squares rotation and translation with Horn's symmetric scale (Horn 1987, section 2.E).

    The usual least-squares scale shrinks when pairs are imperfect, and nearest neighbours always are.
    """
    source_mean, target_mean = source_P3.mean(axis=0), target_P3.mean(axis=0)
    source, target = source_P3 - source_mean, target_P3 - target_mean
    u, _, vt = np.linalg.svd(target.T @ source)
    rotation = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    scale = np.sqrt((target**2).sum() / max((source**2).sum(), 1e-12))
    return _matrix(scale * rotation, target_mean - scale * rotation @ source_mean)


def _icp(targets: list[np.ndarray], sources: list[np.ndarray], T: np.ndarray) -> Fit:
    trees = [cKDTree(source) for source in sources]  # searched in the prediction's frame, distances scaled
    visible_P3, residual = np.concatenate(targets), np.inf
    for _ in range(_ROUNDS):
        back = np.linalg.inv(T)
        found = [tree.query(target @ back[:3, :3].T + back[:3, 3]) for tree, target in zip(trees, targets, strict=True)]
        distance_P = np.concatenate([distance for distance, _ in found]) * np.cbrt(np.linalg.det(T[:3, :3]))
        matched_P3 = np.concatenate([source[index] for source, (_, index) in zip(sources, found, strict=True)])
        kept = distance_P <= np.quantile(distance_P, _KEPT_SHARE)
        if float(distance_P[kept].mean()) > residual * (1 - 1e-4):
            break
        best, residual = T, float(distance_P[kept].mean())
        T = similarity(matched_P3[kept], visible_P3[kept])
    return Fit(best, residual)


def _start(targets: list[np.ndarray], sources: list[np.ndarray], rotation: np.ndarray) -> np.ndarray:
    """(4, 4) that rotates, then lays the bounding box of the predicted scene over that of the visible points."""
    visible_P3, predicted_Q3 = np.concatenate(targets), np.concatenate(sources) @ rotation.T
    (low, high), (p_low, p_high) = ((c.min(axis=0), c.max(axis=0)) for c in (visible_P3, predicted_Q3))
    scale = np.linalg.norm(high - low) / max(float(np.linalg.norm(p_high - p_low)), 1e-12)
    return _matrix(scale * rotation, (low + high) / 2 - scale * (p_low + p_high) / 2)


def _subsample(points_P3: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if len(points_P3) <= _POINTS_EACH:
        return points_P3
    return points_P3[rng.choice(len(points_P3), _POINTS_EACH, replace=False)]


def _matrix(linear: np.ndarray, shift: np.ndarray) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = linear, shift
    return T
