"""Segmentation errors: the masks of neighbouring instances merged into one (the paper's supplement, section 2).

Shapes: H, W image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

REACH_PX = 2
"""Masks this close count as neighbours: a segmenter has to find the border between them."""

_EIGHT_CONNECTED = np.ones((3, 3), bool)


def pair_neighbours(instance_HW: np.ndarray, ids: Sequence[int], rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Random pairs of neighbouring instances, each instance in one pair at most, the larger one of a pair first.

    Instances whose neighbours are all taken are in no pair.
    """
    pairs = neighbouring_masks(instance_HW, ids)
    size = {i: int((instance_HW == i).sum()) for i in ids}
    free, chosen = set(ids), []
    for index in rng.permutation(len(pairs)):
        one, other = pairs[index]
        if one in free and other in free:
            free -= {one, other}
            chosen.append((one, other) if size[one] >= size[other] else (other, one))
    return sorted(chosen)


def neighbouring_masks(instance_HW: np.ndarray, ids: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs (lower id, higher id) whose masks lie within REACH_PX of each other, sorted."""
    found = set()
    for i in ids:
        near = ndimage.binary_dilation(instance_HW == i, _EIGHT_CONNECTED, iterations=REACH_PX)
        touched = set(np.unique(instance_HW[near]).tolist()) & set(ids)
        found |= {(min(i, other), max(i, other)) for other in touched - {i}}
    return sorted(found)


def merge_masks(instance_HW: np.ndarray, groups: Sequence[Sequence[int]]) -> np.ndarray:
    """(H, W) instance ids in which every group has the id of its first member."""
    merged_HW = instance_HW.copy()
    for first, *others in groups:
        merged_HW[np.isin(instance_HW, others)] = first
    return merged_HW
