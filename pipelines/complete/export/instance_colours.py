"""A colour for each instance, with neighbouring ids far apart. The web page computes the same colours."""

from __future__ import annotations

import colorsys

import numpy as np

GOLDEN_ANGLE = 137.508 / 360


def colour_of(instance_id: int) -> np.ndarray:
    """(3,) uint8 sRGB."""
    rgb = colorsys.hsv_to_rgb(instance_id * GOLDEN_ANGLE % 1, 0.6, 0.95)
    return np.rint(np.array(rgb) * 255).astype(np.uint8)
