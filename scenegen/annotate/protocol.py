"""The interface of depth estimators: views in, maps out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class Truth:
    """The exact images of a view, which only `simulated` gets.

    depth_m: (H, W) float32, planar, NaN where nothing was hit. instance_id: (H, W) uint16.
    """

    depth_m: np.ndarray
    instance_id: np.ndarray


@dataclass(frozen=True, slots=True)
class Request:
    """One view whose depth is to be estimated.

    rgb: (H, W, 3) uint8. other_views: (view_index, (H, W, 3) uint8) of the same scene, for multi-view networks.
    """

    scene_index: int
    view_index: int
    rgb: np.ndarray
    other_views: tuple[tuple[int, np.ndarray], ...] = ()
    truth: Truth | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What an estimator gives for one view.

    map: (H, W) float32 at the view's size, of the estimator's kind, NaN where it gives nothing. confidence: (H, W)
    float32, larger is surer, or None. focal_px: its own horizontal focal length for the view's size, or None.
    variant: what was drawn for this view, such as a severity; empty if nothing.
    """

    map: np.ndarray
    confidence: np.ndarray | None = None
    focal_px: float | None = None
    variant: str = ""


class DepthEstimator(Protocol):
    """A loaded estimator that is ready to run. Its EstimatorRecord says what its maps mean."""

    def companions(self, scene_index: int, view_index: int, views: Sequence[int]) -> tuple[int, ...]:
        """Which other views of the scene it wants to get with this one. views: all view indices of the scene."""
        ...

    def predict(self, requests: Sequence[Request]) -> list[Prediction]:
        """One prediction for each request, in order. The images of a call may have different sizes."""
        ...


class SingleView:
    """Base of the estimators that get one image at a time."""

    def companions(self, scene_index: int, view_index: int, views: Sequence[int]) -> tuple[int, ...]:
        return ()


def rng_for_view(seed: int, scene_index: int, view_index: int, stream: int) -> np.random.Generator:
    """The random generator of one view. Each user draws from a stream of its own."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(scene_index, view_index, stream)))
