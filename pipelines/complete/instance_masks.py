"""Instance masks in memory: by id, made when they are asked for.

Shapes: H W image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from pipelines.errors import UsageError

Masks = Mapping[int, np.ndarray] | np.ndarray
"""Id → (H, W) bool, or one (H, W) image of integer ids in which 0 is no instance."""


class IdImage(Mapping[int, np.ndarray]):
    """The masks of an (H, W) image of ids; 0 is no instance."""

    def __init__(self, ids_HW: np.ndarray) -> None:
        self._ids_HW = ids_HW

    def __getitem__(self, instance_id: int) -> np.ndarray:
        if instance_id not in self._present:
            raise KeyError(instance_id)
        return self._ids_HW == instance_id

    def __iter__(self) -> Iterator[int]:
        return iter(self._present)

    def __len__(self) -> int:
        return len(self._present)

    @cached_property
    def _present(self) -> tuple[int, ...]:
        return tuple(int(i) for i in np.unique(self._ids_HW) if i != 0)


class LazyMasks(Mapping[int, np.ndarray]):
    """Masks that are made when they are asked for: 100 masks of a large image would fill the memory."""

    def __init__(self, makers: Mapping[int, Callable[[], np.ndarray]]) -> None:
        self._makers = dict(makers)

    def __getitem__(self, instance_id: int) -> np.ndarray:
        return self._makers[instance_id]()

    def __iter__(self) -> Iterator[int]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def masks_by_id(masks: Masks) -> Mapping[int, np.ndarray]:
    """The masks in the order of their ids if they come as one image. Raises UsageError for other arrays."""
    if not isinstance(masks, np.ndarray):
        return masks
    if masks.ndim != 2 or not np.issubdtype(masks.dtype, np.integer):
        raise UsageError(
            f"masks must be one (H, W) image of integer ids, or masks by id, not {masks.shape} {masks.dtype}"
        )
    return IdImage(masks)


def chosen_ids(masks: Mapping[int, np.ndarray], wanted: Sequence[int] | None) -> tuple[int, ...]:
    """The ids of the wanted masks, or of all masks for None. Raises UsageError for ids that do not exist."""
    unknown = [] if wanted is None else [i for i in wanted if i not in masks]
    if unknown:
        one = " alone: one mask is one object, unless it is split (--split-components)" if len(masks) == 1 else ""
        raise UsageError(f"there is no instance {unknown[0]} among the masks; there are {sorted(masks)}{one}")
    return tuple(masks) if wanted is None else tuple(wanted)
