"""Evaluates a system on a test set under one condition: what it is given, what it is asked for, how it was judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from pipelines.evaluate.judging.depth import depth_for
from pipelines.evaluate.judging.judge import Judge, ObjectResult, SceneResult, Target
from pipelines.evaluate.judging.merged_masks import merge_masks, pair_neighbours
from pipelines.evaluate.metrics.sampling import sample_rng
from pipelines.evaluate.records.options import DepthChoice
from pipelines.evaluate.records.systems import SceneInput, System, SystemAnswer
from pipelines.evaluate.records.truth import TruthSet, TruthView

Masks = Literal["exact", "pairs_separate", "pairs_merged"]
"""exact: one mask for each instance. pairs_merged: pairs of neighbouring instances share a mask, and only these pairs
are judged, each as one object. pairs_separate: the same pairs are judged, but their masks are exact; the difference to
pairs_merged is the cost of the merge."""

AnswerCallback = Callable[[TruthView, SystemAnswer], None]

_PAIRS_STREAM = 2  # of random numbers, beside those of sampled points


@dataclass(frozen=True, slots=True)
class Condition:
    """What a system is given. variation: "" or the step of a sweep, which is also its folder among predictions."""

    variation: str = ""
    depth: DepthChoice = field(default_factory=DepthChoice)
    masks: Masks = "exact"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All results of one system under one condition."""

    system: str
    condition: Condition
    objects: tuple[ObjectResult, ...]
    scenes: tuple[SceneResult, ...]

    @property
    def views(self) -> int:
        """How many views had something to judge."""
        return len(self.scenes)

    @property
    def missing(self) -> int:
        """How many objects have no usable prediction."""
        return sum(one.scores is None for one in self.objects)

    def only(self, keep: Callable[[ObjectResult], bool]) -> Evaluation:
        """The objects that `keep` accepts; without scenes, whose scores are of all objects."""
        return replace(self, objects=tuple(filter(keep, self.objects)), scenes=())


def evaluate(
    system: System,
    truth: TruthSet,
    judge: Judge,
    condition: Condition,
    keys: Iterable[str] | None = None,
    callbacks: Sequence[AnswerCallback] = (),
) -> Evaluation:
    """Ask the system and judge its answer, view by view.

    keys: which views, by default all; may be wrapped in a progress bar. callbacks: called with every answer.
    """
    objects: list[ObjectResult] = []
    scenes: list[SceneResult] = []
    for key in truth.keys if keys is None else keys:
        view = truth.view(key)
        scene, targets = prepare_view(view, truth, condition, judge.seed)
        if not targets:
            continue
        answer = _timed_answer(system, scene)
        for callback in callbacks:
            callback(view, answer)
        judged_objects, judged_scene = judge.view(view, answer, targets)
        objects += judged_objects
        scenes.append(judged_scene)
    return Evaluation(system.name, condition, tuple(objects), tuple(scenes))


def prepare_view(view: TruthView, truth: TruthSet, condition: Condition, seed: int) -> tuple[SceneInput, list[Target]]:
    """What the system is given of a view, and what is judged; no targets if the view has nothing to judge."""
    ids = [one.instance_id for one in view.objects]
    groups: list[tuple[int, ...]] = [(i,) for i in ids]
    instance_HW = view.instance_HW
    if condition.masks != "exact":
        groups = pair_neighbours(instance_HW, ids, sample_rng(seed, view.key, 0, _PAIRS_STREAM))
    if condition.masks == "pairs_merged":
        instance_HW = merge_masks(instance_HW, groups)
    targets = [Target(group, group[:1] if condition.masks == "pairs_merged" else group) for group in groups]
    scene = SceneInput(
        key=view.key,
        rgb_HW3=view.rgb_HW3,
        instance_HW=instance_HW,
        instance_ids=tuple(i for target in targets for i in target.asked),
        depth_HW=depth_for(view, truth, condition.depth, seed),
        depth_ratio=condition.depth.depth_ratio,
        K_px=view.K_px,
        T_world_cam=view.T_world_cam,
        variation=condition.variation,
    )
    return scene, targets


def _timed_answer(system: System, scene: SceneInput) -> SystemAnswer:
    """The answer, with the wall time of a system that runs now and does not measure its own."""
    if not system.reruns:
        return system.complete(scene)
    start = time.perf_counter()
    answer = system.complete(scene)
    return answer if answer.seconds is not None else replace(answer, seconds=time.perf_counter() - start)


def scores_of(objects: Sequence[ObjectResult], name: str, penalised: bool) -> tuple[list[float], list[str]]:
    """The values of one score of all objects that have it, and the scene of each."""
    pairs = [(one.penalised if penalised else one.scores, one.scene) for one in objects]
    values = [(getattr(scores, name), scene) for scores, scene in pairs if scores is not None]
    known = [(float(value), scene) for value, scene in values if value is not None and np.isfinite(value)]
    return [value for value, _ in known], [scene for _, scene in known]
