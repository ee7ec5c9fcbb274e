"""The connected components of a mask: one mask of several objects → a mask of each.

Shapes: H W image.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import label

SMALLEST_PX = 16
SMALLEST_SHARE = 1e-3  # of the largest component
TOUCHING = np.ones((3, 3), int)  # also by a corner


def connected_components(mask_HW: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """(H, W) int32 numbers of components, 1 for the largest, 0 elsewhere; and the pixels of each component.

    Specks are left out: components of less than 16 pixels, or less than a thousandth of the largest one.
    """
    labels_HW, count = label(mask_HW, TOUCHING)
    sizes = np.bincount(labels_HW.ravel(), minlength=count + 1)
    sizes[0] = 0
    order = np.argsort(-sizes, kind="stable")
    kept = [int(i) for i in order if sizes[i] >= max(SMALLEST_PX, SMALLEST_SHARE * sizes.max())]
    number = np.zeros(count + 1, np.int32)
    number[kept] = np.arange(1, len(kept) + 1)
    return number[labels_HW], tuple(int(sizes[i]) for i in kept)
