"""Overlap of two shapes: of their bounding boxes, and of the voxels that their points fall into.

Both are computed as in the released scripts, in float32 as they do. Shapes: B pairs, N and M points.
"""

from __future__ import annotations

import numpy as np

EPSILON = 1e-8


def box_iou(truth_N3: np.ndarray, pred_M3: np.ndarray) -> float:
    """Intersection over union of the axis-aligned bounding boxes; a box with a zero side gives 0."""
    truth, pred = truth_N3.astype(np.float32), pred_M3.astype(np.float32)
    truth_low, truth_high, pred_low, pred_high = truth.min(0), truth.max(0), pred.min(0), pred.max(0)
    common = np.maximum(np.minimum(truth_high, pred_high) - np.maximum(truth_low, pred_low), 0).prod()
    union = (truth_high - truth_low).prod() + (pred_high - pred_low).prod() - common
    return float(common / (union + np.float32(EPSILON)))


def voxel_iou(truth_N3: np.ndarray, pred_M3: np.ndarray, voxel: float = 0.05, grid: int = 64) -> float:
    """Intersection over union of the voxels that hold a point; the grid starts at the common lower corner."""
    return float(voxel_iou_batch(truth_N3[None], pred_M3[None], voxel, grid)[0])


def voxel_iou_batch(truth_BN3: np.ndarray, pred_BM3: np.ndarray, voxel: float = 0.05, grid: int = 64) -> np.ndarray:
    """(B,) float64. As in the released scripts, all pairs share one lower corner, and indices are clamped."""
    truth, pred = truth_BN3.astype(np.float32), pred_BM3.astype(np.float32)
    corner_3 = np.minimum(truth.min(axis=(0, 1)), pred.min(axis=(0, 1)))
    return np.array(
        [
            _cells_iou(*(_cells(cloud, corner_3, voxel, grid) for cloud in pair))
            for pair in zip(truth, pred, strict=True)
        ]
    )


def _cells(points_N3: np.ndarray, corner_3: np.ndarray, voxel: float, grid: int) -> np.ndarray:
    """The sorted unique numbers of the occupied voxels."""
    index_N3 = np.floor((points_N3 - corner_3) / np.float32(voxel)).astype(np.int64).clip(0, grid - 1)
    return np.unique(index_N3 @ np.array([grid * grid, grid, 1]))


def _cells_iou(truth: np.ndarray, pred: np.ndarray) -> float:
    common = len(np.intersect1d(truth, pred, assume_unique=True))
    return common / (len(truth) + len(pred) - common + EPSILON)
