"""The scores of one object and of one scene, and the penalty for a missing prediction.

Penalty: F-score, precision, recall, overlaps and normal consistency are 0, and the Chamfer distance is the diagonal of
the truth's box in the frame of comparison. No prediction inside that box scores worse, so it never pays to leave an
object out. Shapes: N points of the truth, M points of the prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.evaluate.metrics.distances import neighbours, point_scores
from pipelines.evaluate.metrics.frames import (
    normalised_as_released,
    normalised_per_axis,
    to_canonical,
)
from pipelines.evaluate.metrics.normals import normal_consistency
from pipelines.evaluate.metrics.overlap import box_iou, voxel_iou
from pipelines.evaluate.metrics.sampling import Samples
from pipelines.evaluate.records.options import ObjectFrame

VOXEL = 0.1
"""Edge of the voxels of the IoU, in the frame where the longest side of an object is 1.9. Of 20,480 points a voxel at
the surface holds about ten, so that two samplings of one shape fill the same voxels."""


@dataclass(frozen=True, slots=True)
class ObjectScores:
    """chamfer in the frame of comparison (longest side 1.9); precision, recall, f_score in percent; the rest 0 to 1.

    normal_consistency is None where either side is only points.
    """

    chamfer: float
    precision: float
    recall: float
    f_score: float
    box_iou: float
    voxel_iou: float
    normal_consistency: float | None


@dataclass(frozen=True, slots=True)
class SceneScores:
    """chamfer in world units; precisions, recalls and f_scores in percent, one for each threshold."""

    chamfer: float
    precisions: tuple[float, ...]
    recalls: tuple[float, ...]
    f_scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class NeighbourSearch:
    """How nearest neighbours are searched; see `neighbours`."""

    device: str = "cpu"
    threads: int = 1


def score_object(
    truth: Samples, pred: Samples, frame: ObjectFrame, T_world_obj: np.ndarray, search: NeighbourSearch
) -> ObjectScores:
    """Scores of samples in the world. T_world_obj: (4, 4) pose of the truth, for the canonical frame."""
    truth_N3, pred_M3 = (_in_frame(one.points_N3, frame, T_world_obj) for one in (truth, pred))
    found = neighbours(truth_N3, pred_M3, search.device, search.threads)
    points = point_scores(found)
    normals = None
    if truth.normals_N3 is not None and pred.normals_N3 is not None:
        normals = normal_consistency(truth.normals_N3, pred.normals_N3, found)
    return ObjectScores(
        points.chamfer,
        points.precision,
        points.recall,
        points.f_score,
        box_iou=box_iou(truth.points_N3, pred.points_N3),
        voxel_iou=voxel_iou(truth_N3, pred_M3, VOXEL),
        normal_consistency=normals,
    )


def missing_object(truth: Samples, frame: ObjectFrame, T_world_obj: np.ndarray) -> ObjectScores:
    """The penalised scores of an object without a prediction."""
    diagonal = _diagonal(_in_frame(truth.points_N3, frame, T_world_obj))
    normals = None if truth.normals_N3 is None else 0.0
    return ObjectScores(diagonal, 0.0, 0.0, 0.0, 0.0, 0.0, normals)


def score_scene(
    truth_N3: np.ndarray, pred_M3: np.ndarray, thresholds: Sequence[float], search: NeighbourSearch
) -> SceneScores:
    """Scores of the world points of all objects together."""
    found = neighbours(truth_N3, pred_M3, search.device, search.threads)
    scores = [point_scores(found, threshold) for threshold in thresholds]
    return SceneScores(
        scores[0].chamfer,
        tuple(one.precision for one in scores),
        tuple(one.recall for one in scores),
        tuple(one.f_score for one in scores),
    )


def missing_scene(truth_N3: np.ndarray, thresholds: Sequence[float]) -> SceneScores:
    """The penalised scores of a scene without any prediction."""
    none = (0.0,) * len(thresholds)
    return SceneScores(_diagonal(truth_N3), none, none, none)


def _in_frame(points_N3: np.ndarray, frame: ObjectFrame, T_world_obj: np.ndarray) -> np.ndarray:
    if frame == "canonical":
        return to_canonical(points_N3, T_world_obj)
    return normalised_as_released(points_N3) if frame == "released" else normalised_per_axis(points_N3)


def _diagonal(points_N3: np.ndarray) -> float:
    return float(np.linalg.norm(points_N3.max(axis=0) - points_N3.min(axis=0)))
