"""What a system is: its input, its answer, and the names of the systems that the paper compares.

Shapes: H, W image. Frame: the test set's world, metres, unless a name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from pipelines.evaluate.records.shapes import Shape

FIXER, OFFICIAL, GEN3DSR, MIDI = "fixer", "official", "gen3dsr", "midi"

SYSTEMS = {
    FIXER: "3D-Fixer, this project",
    OFFICIAL: "3D-Fixer, official outputs",
    GEN3DSR: "Gen3DSR",
    MIDI: "MIDI",
}
"""Option name to row label, in the order of the tables. Each has a row, also when no prediction of it was given."""

Outcome = Literal["completed", "skipped", "failed", "missing"]
"""missing: the system gave neither a shape nor a reason."""


@dataclass(frozen=True, slots=True)
class SceneInput:
    """One image as a system sees it.

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
    """The completed shape of one instance, in the world. shape: None unless the outcome is "completed"."""

    instance_id: int
    shape: Shape | None
    outcome: Outcome = "completed"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SystemAnswer:
    """All predictions of a system for one view. seconds: for the whole view, None when unknown."""

    predictions: tuple[Prediction, ...]
    seconds: float | None = None


class System(Protocol):
    """Something that is evaluated: a network, a baseline, or a folder of predictions made earlier."""

    @property
    def name(self) -> str:
        """The label of its row in the tables."""
        ...

    @property
    def reruns(self) -> bool:
        """Whether it computes its answers now, so that the time measured here is its own."""
        ...

    def answers(self, variation: str) -> bool:
        """Whether it has answers for a step of a sweep; predictions made earlier may lack it."""
        ...

    def complete(self, scene: SceneInput) -> SystemAnswer:
        """Complete the instances of one view."""
        ...
