"""Which views of a test set and which instances of an image are judged.

Shapes: H, W image.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

import numpy as np
from PIL import Image

OFFICIAL_LARGEST = 5
MIN_PIXEL_RATIO = 0.005
_MIDI_SIZE = 512
_FIRST_OBJECT_ID = 3
_ID_STEPS = 100  # the official index images store id / 100 of the 16-bit range

Item = TypeVar("Item")


def evenly_spaced(items: Sequence[Item], limit: int) -> list[Item]:
    """`limit` of the items, evenly spaced; 0 takes all."""
    wanted = min(limit or len(items), len(items))
    return [items[i] for i in np.linspace(0, len(items) - 1, wanted).round().astype(int)]


def ids_of_index_png(codes_HW: np.ndarray) -> np.ndarray:
    """(H, W) uint16 instance ids of the 16-bit codes in the official generator's index image."""
    return np.rint(codes_HW.astype(np.float64) / 65535 * _ID_STEPS).astype(np.uint16)


def largest_instances(instance_HW: np.ndarray, count: int = OFFICIAL_LARGEST) -> list[int]:
    """The own test set's rule: the `count` object instances with the most pixels, smallest first; 0 takes all.

    Background, floor and wall (0, 1, 2) are no objects. Of equal sizes, the larger id counts as larger.
    """
    ids, pixels = np.unique(instance_HW, return_counts=True)
    objects = sorted((int(size), int(i)) for i, size in zip(ids, pixels, strict=True) if i >= _FIRST_OBJECT_ID)
    return [i for _, i in objects[-count if count else 0 :]]


def large_enough(instance_HW: np.ndarray, ids: Collection[int], min_ratio: float = MIN_PIXEL_RATIO) -> list[int]:
    """Ids that cover at least `min_ratio` of the image, in the given order (official inference skips the others)."""
    least = min_ratio * instance_HW.size
    return [i for i in ids if int((instance_HW == i).sum()) >= least]


def midi_labels(labels_HW: np.ndarray) -> list[int]:
    """MIDI's rule: labels 1..n that cover more than 0.005 of the image after nearest resizing to 512 x 512.

    Raises ValueError for labels with gaps or above 255: the released script would misread them.
    """
    top = int(labels_HW.max(initial=0))
    if top > 255 or len(np.unique(labels_HW[labels_HW > 0])) != top:
        raise ValueError(f"labels must be 1..n without gaps, n at most 255; found {np.unique(labels_HW).tolist()}")
    image = Image.fromarray(labels_HW.astype(np.uint8)).resize((_MIDI_SIZE, _MIDI_SIZE), Image.Resampling.NEAREST)
    pixels = np.bincount(np.asarray(image).ravel(), minlength=top + 1)
    return [label for label in range(1, top + 1) if pixels[label] > MIN_PIXEL_RATIO * _MIDI_SIZE**2]
