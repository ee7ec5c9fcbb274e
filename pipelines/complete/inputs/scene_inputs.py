"""Everything that the pipeline is shown of a scene.

Shapes: H W image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.complete.view import Camera


@dataclass(frozen=True)
class SceneInputs:
    """rgb_HW3: uint8 sRGB. masks: by instance id, (H, W) bool. depth_HW: planar depth, NaN where it is unknown.

    exact_depth: the depth is ground truth, so that alpha is 0 unless the user says otherwise.
    described: where everything came from, for the report.
    assumed: what was assumed about the files, in sentences for the user.
    """

    rgb_HW3: np.ndarray
    masks: Mapping[int, np.ndarray]
    depth_HW: np.ndarray
    camera: Camera
    exact_depth: bool
    described: dict[str, Any]
    assumed: tuple[str, ...] = ()
