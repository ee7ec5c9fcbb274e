"""What every estimator is: pictures in, maps out.

Shapes: H W image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import nn


@dataclass(frozen=True, slots=True)
class DepthMap:
    """map_HW: float32 at the picture's size, NaN where the network gives nothing. What it measures is the network's:
    planar depth in metres, planar depth up to a scale, or inverse depth up to scale and shift.

    confidence_HW: float32, larger is surer, or None. focal_px: the horizontal focal length that it found for the
    picture's size, or the one it was given; None if it has none.
    """

    map_HW: np.ndarray
    confidence_HW: np.ndarray | None = None
    focal_px: float | None = None


class DepthEstimator(Protocol):
    """A network that is loaded and ready. It computes where its weights are."""

    @property
    def network(self) -> nn.Module: ...

    def __call__(self, rgbs: Sequence[np.ndarray], focal_px: float | None = None) -> list[DepthMap]:
        """A map for each (H, W, 3) uint8 picture, each seen by itself; their sizes may differ.

        focal_px: of all pictures, where it is known; networks that cannot use it ignore it.
        """
        ...
