"""Judges one view: a system's answer against the truth, object by object and as a whole scene.

Shapes: N points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipelines.evaluate.judging.rules import Rules
from pipelines.evaluate.metrics.frames import box_pose
from pipelines.evaluate.metrics.frustum import clip_to_frustum, points_inside
from pipelines.evaluate.metrics.sampling import (
    PREDICTION,
    TRUTH,
    EmptyShape,
    Samples,
    sample_rng,
    sample_shape,
)
from pipelines.evaluate.metrics.scores import (
    NeighbourSearch,
    ObjectScores,
    SceneScores,
    missing_object,
    missing_scene,
    score_object,
    score_scene,
)
from pipelines.evaluate.records.shapes import Shape, merged
from pipelines.evaluate.records.systems import Outcome, Prediction, SystemAnswer
from pipelines.evaluate.records.truth import TruthObject, TruthView


@dataclass(frozen=True, slots=True)
class Target:
    """What is judged as one object: the truth of `members` against the predictions for the instances `asked`.

    Usually both are one and the same instance; with merged masks, two members share one that is asked for.
    """

    members: tuple[int, ...]
    asked: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """How one target was judged. scores: None without a usable prediction. penalised: the scores, or else the penalty.

    occlusion and mask_components: of the largest member; None when the test set does not say.
    """

    key: str
    scene: str
    target: Target
    outcome: Outcome
    reason: str
    visible_px: int
    occlusion: float | None
    mask_components: int | None
    scores: ObjectScores | None
    penalised: ObjectScores


@dataclass(frozen=True, slots=True)
class SceneResult:
    """How one view was judged as a whole.

    scores: missing objects are left out on both sides; None when all are missing. penalised: the truth of missing
    objects stays. seconds: that the system took; None when unknown.
    """

    key: str
    scene: str
    scores: SceneScores | None
    penalised: SceneScores
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Judge:
    """Samples points of truth and prediction, and scores them. seed: of the sampling."""

    rules: Rules = field(default_factory=Rules)
    seed: int = 0
    search: NeighbourSearch = field(default_factory=NeighbourSearch)

    def view(
        self, view: TruthView, answer: SystemAnswer, targets: Sequence[Target]
    ) -> tuple[tuple[ObjectResult, ...], SceneResult]:
        """The results of every target of one view, and of the view as a whole."""
        if view.whole is not None:
            return (), self._whole_scene(view, view.whole, answer)
        pairs = [(target, self._truth(view, target), self._prediction(view, answer, target)) for target in targets]
        objects = tuple(self._object(view, target, truth, pred) for target, truth, pred in pairs)
        if self.rules.scene_points is not None:
            shapes = [one.shape for one in view.objects if one.shape is not None]
            return objects, self._whole_scene(view, merged(shapes), answer)
        return objects, self._scene(view, pairs, answer.seconds)

    def _object(self, view: TruthView, target: Target, truth: Samples, pred: _SampledPrediction) -> ObjectResult:
        assert self.rules.frame is not None
        largest = max((view.object(i) for i in target.members), key=lambda one: one.visible_px)
        single = view.object(target.members[0]) if len(target.members) == 1 else None
        pose = _pose(single, truth)
        scores = None
        if pred.samples is not None:
            scores = score_object(truth, pred.samples, self.rules.frame, pose, self.search)
        return ObjectResult(
            key=view.key,
            scene=view.scene,
            target=target,
            outcome=pred.outcome,
            reason=pred.reason,
            visible_px=sum(view.object(i).visible_px for i in target.members),
            occlusion=largest.occlusion,
            mask_components=largest.mask_components,
            scores=scores,
            penalised=scores or missing_object(truth, self.rules.frame, pose),
        )

    def _scene(
        self, view: TruthView, pairs: Sequence[tuple[Target, Samples, _SampledPrediction]], seconds: float | None
    ) -> SceneResult:
        def union(clouds: Sequence[Samples]) -> np.ndarray:
            return np.concatenate([one.points_N3 for one in clouds] or [np.zeros((0, 3))])

        all_truth_N3 = union([truth for _, truth, _ in pairs])
        answered_N3 = union([truth for _, truth, pred in pairs if pred.samples is not None])
        pred_N3 = union([pred.samples for _, _, pred in pairs if pred.samples is not None])
        return self._scene_result(view, all_truth_N3, answered_N3, pred_N3, seconds)

    def _whole_scene(self, view: TruthView, whole: Shape, answer: SystemAnswer) -> SceneResult:
        """The surface of the whole scene against all predictions together, both sampled by area."""
        count = self.rules.scene_points or self.rules.points
        truth = sample_shape(self._clipped(view, whole), count, sample_rng(self.seed, view.key, 0, TRUTH))
        shapes = [one.shape for one in answer.predictions if one.shape is not None]
        pred = self._sampled(view, shapes, 0, count) if shapes else _SampledPrediction(None, "missing", "")
        pred_N3 = pred.samples.points_N3 if pred.samples else np.zeros((0, 3))
        return self._scene_result(view, truth.points_N3, truth.points_N3, pred_N3, answer.seconds)

    def _scene_result(
        self,
        view: TruthView,
        truth_N3: np.ndarray,
        answered_N3: np.ndarray,
        pred_N3: np.ndarray,
        seconds: float | None,
    ) -> SceneResult:
        thresholds = self.rules.thresholds
        if not len(pred_N3):
            return SceneResult(view.key, view.scene, None, missing_scene(truth_N3, thresholds), seconds)
        scores = score_scene(answered_N3, pred_N3, thresholds, self.search)
        complete = len(answered_N3) == len(truth_N3)
        penalised = scores if complete else score_scene(truth_N3, pred_N3, thresholds, self.search)
        return SceneResult(view.key, view.scene, scores, penalised, seconds)

    def _truth(self, view: TruthView, target: Target) -> Samples:
        shapes = [shape for i in target.members if (shape := view.object(i).shape) is not None]
        shape = self._clipped(view, merged(shapes))
        return sample_shape(shape, self.rules.points, sample_rng(self.seed, view.key, target.members[0], TRUTH))

    def _prediction(self, view: TruthView, answer: SystemAnswer, target: Target) -> _SampledPrediction:
        given = [one for one in answer.predictions if one.instance_id in target.asked]
        shapes = [one.shape for one in given if one.shape is not None]
        if not shapes:
            silent = Prediction(target.asked[0], None, "missing", "the system gave nothing for it")
            first = given[0] if given else silent
            return _SampledPrediction(None, first.outcome, first.reason)
        return self._sampled(view, shapes, target.asked[0], self.rules.points)

    def _sampled(self, view: TruthView, shapes: Sequence[Shape], instance_id: int, count: int) -> _SampledPrediction:
        shape = self._clipped(view, merged(shapes))
        try:
            samples = sample_shape(shape, count, sample_rng(self.seed, view.key, instance_id, PREDICTION))
        except EmptyShape as error:
            return _SampledPrediction(None, "failed", f"its shape cannot be judged: {error}")
        return _SampledPrediction(samples, "completed", "")

    def _clipped(self, view: TruthView, shape: Shape) -> Shape:
        if not self.rules.clip:
            return shape
        height, width = view.instance_HW.shape
        seen = shape.moved(np.linalg.inv(view.T_world_cam))
        if shape.is_surface:
            vertices, faces = clip_to_frustum(seen.vertices_V3, seen.faces_F3, view.K_px, (width, height))
            return Shape(vertices[:0] if not len(faces) else vertices, faces).moved(view.T_world_cam)
        return Shape.of_points(shape.vertices_V3[points_inside(seen.vertices_V3, view.K_px, (width, height))])


@dataclass(frozen=True, slots=True)
class _SampledPrediction:
    """The points of a prediction, or why there are none."""

    samples: Samples | None
    outcome: Outcome
    reason: str


def _pose(single: TruthObject | None, truth: Samples) -> np.ndarray:
    """The pose of the truth; if it has none (a group, a scan), its bounding box."""
    if single is not None and single.T_world_obj is not None:
        return single.T_world_obj
    return box_pose(truth.points_N3)
