"""What evaluation talks about: shapes, what a system is shown, what it answers, and what is true.

Shapes: V vertices, F faces, H, W image. Frame: the test set's world, metres, unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

Outcome = Literal["completed", "skipped", "failed", "missing"]
"""missing: the system gave neither a shape nor a reason."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A surface, or without faces a set of points.

    vertices_V3: float. faces_F3: int vertex indices, (0, 3) for points. colors_V3: uint8 sRGB, or None.
    """

    vertices_V3: np.ndarray
    faces_F3: np.ndarray
    colors_V3: np.ndarray | None = None

    @classmethod
    def of_points(cls, points_V3: np.ndarray, colors_V3: np.ndarray | None = None) -> Shape:
        return cls(points_V3, np.zeros((0, 3), np.int64), colors_V3)

    @property
    def is_surface(self) -> bool:
        return len(self.faces_F3) > 0

    def moved(self, T: np.ndarray) -> Shape:
        """In another frame; T: (4, 4), applied to column vectors."""
        vertices_V3 = self.vertices_V3.astype(np.float64) @ T[:3, :3].T + T[:3, 3]
        return replace(self, vertices_V3=vertices_V3)


@dataclass(frozen=True, slots=True)
class SceneInput:
    """One image as a system is shown it.

    key: names the view, and its folder among predictions. variation: "" or the step of a sweep, such as "alpha-0.2".
    rgb_HW3: uint8 sRGB. instance_HW: uint16; the pixels of the instances to complete carry their ids.
    instance_ids: which instances to complete. depth_HW: planar depth in metres, NaN where unknown.
    depth_ratio: how much of the depth is estimated (the paper's alpha), 0 for exact depth.
    K_px: (3, 3), the centre of the first pixel is (0.5, 0.5). T_world_cam: (4, 4), camera to world, OpenCV axes.
    """

    key: str
    rgb_HW3: np.ndarray
    instance_HW: np.ndarray
    instance_ids: tuple[int, ...]
    depth_HW: np.ndarray
    depth_ratio: float
    K_px: np.ndarray
    T_world_cam: np.ndarray
    variation: str = ""

    def mask(self, instance_id: int) -> np.ndarray:
        return self.instance_HW == instance_id


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a system made of one instance, in the world. shape is None unless the outcome is "completed"."""

    instance_id: int
    shape: Shape | None
    outcome: Outcome = "completed"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SystemAnswer:
    """All that a system says of one view. seconds: for the whole view, None when unknown."""

    predictions: tuple[Prediction, ...]
    seconds: float | None = None


class System(Protocol):
    """What is evaluated: a network, a baseline, or a folder of files made earlier."""

    @property
    def name(self) -> str:
        """The row of the tables."""
        ...

    @property
    def reruns(self) -> bool:
        """Whether it computes its answers now, so that the time it takes is its own."""
        ...

    def answers(self, variation: str) -> bool:
        """Whether it can be asked about a step of a sweep; files made earlier may lack it."""
        ...

    def complete(self, scene: SceneInput) -> SystemAnswer:
        """Complete the instances of one view."""
        ...


@dataclass(frozen=True, slots=True)
class TruthObject:
    """An object of a test set.

    shape: in the world; None in a set that knows only the whole scene. T_world_obj: (4, 4) canonical to world; None
    when the set has no poses.
    occlusion, mask_components: of the view, None when the set does not say. visible_px: pixels with its id.
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
    """One image of a test set with its truth.

    scene: views of one scene share it; confidence intervals draw scenes. Arrays as in SceneInput; depth_HW is exact (or
    the sensor's). objects: the judged ones. whole: the scene's surface, in a set that does not split it in objects.
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
        """Raises KeyError."""
        return next(one for one in self.objects if one.instance_id == instance_id)


class TruthSet(Protocol):
    """Ground truth, view by view."""

    @property
    def name(self) -> str: ...

    @property
    def keys(self) -> Sequence[str]: ...

    def view(self, key: str) -> TruthView:
        """With the judged objects only, smallest mask first."""
        ...

    def depth_estimate(self, key: str, estimator: str) -> tuple[np.ndarray, bool]:
        """(H, W) planar depth as an estimator gave it, NaN invalid, and whether it claims metres.

        Raises FileNotFoundError where the set has none.
        """
        ...
