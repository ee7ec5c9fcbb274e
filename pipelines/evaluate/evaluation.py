"""A system over a test set, under one condition: what it is shown, what is asked of it, how it was judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from pipelines.evaluate.depth import DepthChoice, depth_for
from pipelines.evaluate.judge import Judge, ObjectResult, SceneResult, Target
from pipelines.evaluate.merging import merge_neighbours, merged_ids
from pipelines.evaluate.records import SceneInput, System, SystemAnswer, TruthSet, TruthView
from pipelines.evaluate.sampling import sample_rng

Masks = Literal["exact", "pairs_separate", "pairs_merged"]
"""exact: one mask an instance. pairs_merged: neighbouring instances share a mask, and only those pairs are judged, each
as one thing. pairs_separate: the same pairs are judged, but the masks are exact; what the merge costs is the gap."""

Watcher = Callable[[TruthView, SystemAnswer], None]

_MERGING = 2  # stream of the pairs' generator, beside those of sampled points


@dataclass(frozen=True, slots=True)
class Condition:
    """variation: "" or the step of a sweep, also its folder among predictions."""

    variation: str = ""
    depth: DepthChoice = field(default_factory=DepthChoice)
    masks: Masks = "exact"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All results of one system under one condition. views: how many had something to judge."""

    system: str
    condition: Condition
    objects: tuple[ObjectResult, ...]
    scenes: tuple[SceneResult, ...]

    @property
    def views(self) -> int:
        return len(self.scenes)

    @property
    def missing(self) -> int:
        """Objects without a usable prediction."""
        return sum(one.scores is None for one in self.objects)

    def only(self, keep: Callable[[ObjectResult], bool]) -> Evaluation:
        """Of its objects, those that `keep` wants; no scenes, which are not theirs alone."""
        return replace(self, objects=tuple(filter(keep, self.objects)), scenes=())


def evaluate(
    system: System,
    truth: TruthSet,
    judge: Judge,
    condition: Condition,
    keys: Iterable[str] | None = None,
    watchers: Sequence[Watcher] = (),
) -> Evaluation:
    """Ask and judge view by view.

    keys: which views, by default all, for instance wrapped in a progress bar. watchers: see every answer.
    """
    objects: list[ObjectResult] = []
    scenes: list[SceneResult] = []
    for key in truth.keys if keys is None else keys:
        view = truth.view(key)
        scene, targets = shown(view, truth, condition, judge.seed)
        if not targets:
            continue
        answer = _answer(system, scene)
        for watch in watchers:
            watch(view, answer)
        found, whole = judge.view(view, answer, targets)
        objects += found
        scenes.append(whole)
    return Evaluation(system.name, condition, tuple(objects), tuple(scenes))


def shown(view: TruthView, truth: TruthSet, condition: Condition, seed: int) -> tuple[SceneInput, list[Target]]:
    """What the system sees of a view, and what is judged; no targets where the view has nothing to judge."""
    ids = [one.instance_id for one in view.objects]
    groups: list[tuple[int, ...]] = [(i,) for i in ids]
    instance_HW = view.instance_HW
    if condition.masks != "exact":
        groups = merge_neighbours(instance_HW, ids, sample_rng(seed, view.key, 0, _MERGING))
    if condition.masks == "pairs_merged":
        instance_HW = merged_ids(instance_HW, groups)
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


def _answer(system: System, scene: SceneInput) -> SystemAnswer:
    if not system.reruns:
        return system.complete(scene)
    start = time.perf_counter()
    answer = system.complete(scene)
    return answer if answer.seconds is not None else replace(answer, seconds=time.perf_counter() - start)


def occlusion_is_within(low: float, high: float) -> Callable[[ObjectResult], bool]:
    """Occlusion in [low, high); the last bin also takes 1."""
    return lambda one: one.occlusion is not None and (low <= one.occlusion < high or one.occlusion == high == 1)


def components_are_within(low: int, high: float) -> Callable[[ObjectResult], bool]:
    """Mask components from low to high, both included."""
    return lambda one: one.mask_components is not None and low <= one.mask_components <= high


def scores_of(objects: Sequence[ObjectResult], name: str, penalised: bool) -> tuple[list[float], list[str]]:
    """A score of all objects that have it, and the scene of each."""
    pairs = [(one.penalised if penalised else one.scores, one.scene) for one in objects]
    values = [(getattr(scores, name), scene) for scores, scene in pairs if scores is not None]
    known = [(float(value), scene) for value, scene in values if value is not None and np.isfinite(value)]
    return [value for value, _ in known], [scene for _, scene in known]
