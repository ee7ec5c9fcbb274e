"""Which instances of an image are judged.

Shapes: H, W image.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from PIL import Image

OFFICIAL_LARGEST = 5
MIN_PIXEL_RATIO = 0.005
_MIDI_SIZE = 512
_FIRST_OBJECT_ID = 3
_ID_STEPS = 100  # the official index images store id / 100 of the 16-bit range


def ids_of_index_png(codes_HW: np.ndarray) -> np.ndarray:
    """(H, W) 16-bit codes of the official generator's index image to instance ids."""
    return np.rint(codes_HW.astype(np.float64) / 65535 * _ID_STEPS).astype(np.uint16)


def largest_instances(instance_HW: np.ndarray, count: int = OFFICIAL_LARGEST) -> list[int]:
    """The own test set's rule: the `count` object instances with most pixels, smallest of them first; 0 takes all.

    Background, floor and wall (0, 1, 2) are no objects. Equal sizes: the larger id counts as larger.
    """
    ids, pixels = np.unique(instance_HW, return_counts=True)
    objects = sorted((int(size), int(i)) for i, size in zip(ids, pixels, strict=True) if i >= _FIRST_OBJECT_ID)
    return [i for _, i in objects[-count if count else 0 :]]


def large_enough(instance_HW: np.ndarray, ids: Collection[int], min_ratio: float = MIN_PIXEL_RATIO) -> list[int]:
    """Ids that cover at least `min_ratio` of the image, in the given order (official inference skips the others)."""
    least = min_ratio * instance_HW.size
    return [i for i in ids if int((instance_HW == i).sum()) >= least]


def midi_labels(labels_HW: np.ndarray) -> list[int]:
    """MIDI's rule: labels 1..n whose share of the image, resized to 512 x 512 (nearest), is above 0.005.

    Raises ValueError for labels with gaps or beyond 255, which the released script cannot mean either.
    """
    top = int(labels_HW.max(initial=0))
    if top > 255 or len(np.unique(labels_HW[labels_HW > 0])) != top:
        raise ValueError(f"labels must be 1..n without gaps, n at most 255; found {np.unique(labels_HW).tolist()}")
    image = Image.fromarray(labels_HW.astype(np.uint8)).resize((_MIDI_SIZE, _MIDI_SIZE), Image.Resampling.NEAREST)
    pixels = np.bincount(np.asarray(image).ravel(), minlength=top + 1)
    return [label for label in range(1, top + 1) if pixels[label] > MIN_PIXEL_RATIO * _MIDI_SIZE**2]
