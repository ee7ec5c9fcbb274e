"""What a test set knows: its views, and the true shape of every judged object.

Shapes: H, W image. Frame: the test set's world, metres, unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pipelines.evaluate.records.shapes import Shape


@dataclass(frozen=True, slots=True)
class TruthObject:
    """An object of a test set.

    shape: in the world; None in a set that only knows the whole scene. T_world_obj: (4, 4) canonical to world; None
    when the set has no poses. visible_px: pixels with its id.
    occlusion, mask_components: of the object in this view; None when the set does not say.
    """

    instance_id: int
    shape: Shape | None
    T_world_obj: np.ndarray | None
    visible_px: int
    occlusion: float | None = None
    mask_components: int | None = None
    asset_uid: str = ""


@dataclass(frozen=True, slots=True)
class TruthView:
    """One image of a test set with its ground truth.

    scene: shared by all views of one scene; confidence intervals resample scenes. Arrays: as in `SceneInput`; depth_HW
    is exact (or the sensor's). objects: the judged ones. whole: the surface of the whole scene, in a set that does not
    split it into objects.
    """

    key: str
    scene: str
    rgb_HW3: np.ndarray
    instance_HW: np.ndarray
    depth_HW: np.ndarray
    K_px: np.ndarray
    T_world_cam: np.ndarray
    objects: tuple[TruthObject, ...]
    whole: Shape | None = None

    def object(self, instance_id: int) -> TruthObject:
        """Raises StopIteration if no judged object has this id."""
        return next(one for one in self.objects if one.instance_id == instance_id)


class TruthSet(Protocol):
    """A test set, read view by view."""

    @property
    def name(self) -> str: ...

    @property
    def keys(self) -> Sequence[str]:
        """The names of the views, in the order in which they are judged."""
        ...

    def view(self, key: str) -> TruthView:
        """One view with its judged objects, the smallest mask first."""
        ...

    def depth_estimate(self, key: str, estimator: str) -> tuple[np.ndarray, bool]:
        """(H, W) planar depth as an estimator gave it, NaN where invalid, and whether it claims to be metric.

        Raises PipelineError where the set has none.
        """
        ...
