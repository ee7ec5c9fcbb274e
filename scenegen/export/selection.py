"""Which scenes, views and objects of a dataset are exported."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from scenegen.contract.dataset import Dataset
from scenegen.contract.records import Scene, SceneObject, View, ViewObject
from scenegen.errors import UsageError

Split = Literal["train", "val", "test"]


@dataclass(frozen=True, slots=True)
class Filters:
    """What is exported; an object passes if all hold for it in the view.

    scenes, views: indices and ranges as they are typed, both ends included ("3", "10-19"); empty means all.
    split: only objects whose asset belongs to it; None means all.
    """

    scenes: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    split: Split | None = None
    min_visible_px: int = 1
    max_occlusion: float = 1.0

    def __post_init__(self) -> None:
        """Raises UsageError for what is no index and no range, and for bounds that nothing can pass."""
        for option, texts in (("--scenes", self.scenes), ("--views", self.views)):
            for text in texts:
                parse_range(text, option)
        if self.min_visible_px < 0:
            raise UsageError(f"--min-visible-px is {self.min_visible_px}; it must be at least 0")
        if not 0.0 <= self.max_occlusion <= 1.0:
            raise UsageError(f"--max-occlusion is {self.max_occlusion}; it must lie between 0 and 1")


def parse_range(text: str, option: str) -> range:
    """The indices of "3" or "10-19". Raises UsageError."""
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise UsageError(f"{option} {text} is no index and no range; type for example: {option} 0-9 12")
    numbers = range(int(first), int(last if dash else first) + 1)
    if not numbers:
        raise UsageError(f"{option} {text} is empty: {first} is more than {last}")
    return numbers


@dataclass(frozen=True, slots=True)
class SceneViews:
    """The chosen views of one scene, as numbers of the dataset's views."""

    scene_index: int
    views: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SelectedView:
    """A decoded view, and those of its objects that pass."""

    view: View
    objects: tuple[ViewObject, ...]

    @property
    def name(self) -> str:
        """Its name in every format: scene and view, sortable."""
        return f"{self.view.scene_index:06d}_{self.view.view_index:04d}"


class Selection:
    """The chosen part of a dataset. Images are read one view at a time."""

    def __init__(self, dataset: Dataset, filters: Filters, split_of: Mapping[str, str] | None = None) -> None:
        """split_of: the split of each asset; None if all pass."""
        self.dataset = dataset
        self.filters = filters
        self._split_of = split_of

    @cached_property
    def scenes(self) -> tuple[SceneViews, ...]:
        """Scenes with chosen views, in the order of the dataset. Raises UsageError if there is none."""
        table = self.dataset.table("views", ["scene_index", "view_index"])
        scene, view = table["scene_index"].to_numpy(), table["view_index"].to_numpy()
        chosen = _within(scene, self.filters.scenes, "--scenes") & _within(view, self.filters.views, "--views")
        numbers = np.flatnonzero(chosen)
        if not len(numbers):
            raise UsageError(
                f"no view is chosen; {self.dataset.root.location} has scenes {scene.min()}-{scene.max()} "
                f"and views {view.min()}-{view.max()}: change --scenes or --views"
            )
        starts = np.flatnonzero(np.diff(scene[numbers], prepend=-1))
        groups = np.split(numbers, starts[1:])
        return tuple(SceneViews(int(scene[group[0]]), tuple(group.tolist())) for group in groups)

    @property
    def num_views(self) -> int:
        return sum(len(scene.views) for scene in self.scenes)

    def scene(self, chosen: SceneViews) -> Scene:
        return self.dataset.scene(chosen.scene_index)

    def scene_objects(self, chosen: SceneViews) -> tuple[SceneObject, ...]:
        """The scene's objects of the chosen split."""
        return tuple(o for o in self.scene(chosen).objects if self._is_of_split(o.asset_uid))

    def read(self, chosen: SceneViews, images: Sequence[str]) -> Iterator[SelectedView]:
        """The views of a scene, one after the other; those in which no object passes are left out."""
        for number in chosen.views:
            view = self.dataset.view(number, images)
            objects = tuple(o for o in view.objects if self._passes(o))
            if objects:
                yield SelectedView(view, objects)

    def _passes(self, seen: ViewObject) -> bool:
        facts, filters = seen.facts, self.filters
        if facts.visible_px < filters.min_visible_px or facts.occlusion > filters.max_occlusion:
            return False
        return self._is_of_split(seen.asset_uid)

    def _is_of_split(self, uid: str) -> bool:
        return self._split_of is None or self._split_of[uid] == self.filters.split


def _within(values: np.ndarray, texts: Sequence[str], option: str) -> np.ndarray:
    if not texts:
        return np.ones(len(values), bool)
    ranges = [parse_range(text, option) for text in texts]
    return np.logical_or.reduce([(values >= numbers[0]) & (values <= numbers[-1]) for numbers in ranges])


def dataset_split(dataset: Dataset) -> str | None:
    """The split whose assets the dataset was made of; "all" if of every; None where nothing tells."""
    try:
        return str(json.loads(dataset.root.read_bytes("config.json"))["config"]["assets"]["split"])
    except (FileNotFoundError, KeyError, ValueError):
        return None
