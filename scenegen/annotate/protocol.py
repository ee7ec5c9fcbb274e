"""What every estimator is: views in, maps out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class Truth:
    """The exact images of a view. Only `simulated` is given them.

    depth_m: (H, W) float32, planar, NaN where nothing was hit. instance_id: (H, W) uint16.
    """

    depth_m: np.ndarray
    instance_id: np.ndarray


@dataclass(frozen=True, slots=True)
class Request:
    """One view to estimate.

    rgb: (H, W, 3) uint8. other_views: (view_index, (H, W, 3) uint8) of the same scene, for multi-view networks.
    """

    scene_index: int
    view_index: int
    rgb: np.ndarray
    other_views: tuple[tuple[int, np.ndarray], ...] = ()
    truth: Truth | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """map: (H, W) float32 at the view's size, of the estimator's kind, NaN where it gives nothing.

    confidence: (H, W) float32, larger is surer, or None. focal_px: its own horizontal focal length for the view's
    size, or None. variant: what was drawn for this view, if anything.
    """

    map: np.ndarray
    confidence: np.ndarray | None = None
    focal_px: float | None = None
    variant: str = ""


class DepthEstimator(Protocol):
    """An estimator that is loaded and ready. What it gives is in its EstimatorRecord."""

    def companions(self, scene_index: int, view_index: int, views: Sequence[int]) -> tuple[int, ...]:
        """Which other views of the scene it wants to be shown beside this one; views: all there are."""
        ...

    def predict(self, requests: Sequence[Request]) -> list[Prediction]:
        """One prediction a request, in order. The images of a call may have different sizes."""
        ...


class SingleView:
    """What estimators share that see one image at a time."""

    def companions(self, scene_index: int, view_index: int, views: Sequence[int]) -> tuple[int, ...]:
        return ()


def rng_for_view(seed: int, scene_index: int, view_index: int, stream: int) -> np.random.Generator:
    """The generator of one view. Streams keep the draws of two users apart."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(scene_index, view_index, stream)))
