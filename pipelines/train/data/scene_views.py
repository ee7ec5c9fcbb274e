"""Decoded views of scenes, cached while samples of the same view follow one another.

What is random about a view (the depth estimator, and the resolution that its image is reduced to) is drawn once per
view and epoch, so that the samples of a view share the work, here and in the image encoders.
Shapes: H W image, S edge of the encoders' images.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pipelines.errors import UsageError
from pipelines.train.data import errors
from pipelines.train.data.options import Augmentation, DataOptions
from pipelines.train.data.randomness import Stream, generator
from pipelines.train.data.readers import Readers
from pipelines.train.data.resize import mask_of, resized, resized_tensor, squeezed_nearest
from scenegen.contract.dataset import Dataset
from scenegen.contract.records import View, ViewObject
from scenegen.contract.sidecar import DepthEstimate

_KEPT = 2
_IMAGES = ("rgb", "depth_m", "instance_id")


@dataclass(frozen=True)
class SceneView:
    """One view in one epoch.

    place: of its row, for messages. scene_id: random; samples with the same one have the same scene image.
    number: of the view in its dataset. blurred_px: edge that its image is scaled down to and back up before the
    encoders see it; None for none. estimator: of the depth to mix in; "" for true depth alone.
    images, ids, depths: caches of resized maps by size.
    """

    place: str
    scene_id: int
    number: int
    dataset: Dataset
    view: View
    blurred_px: int | None
    estimator: str
    images: dict[int, Tensor] = field(default_factory=dict)
    ids: dict[int, np.ndarray] = field(default_factory=dict)
    depths: dict[int, Tensor] = field(default_factory=dict)

    @property
    def rgb(self) -> np.ndarray:
        assert self.view.rgb is not None
        return self.view.rgb

    @property
    def depth_m(self) -> np.ndarray:
        assert self.view.depth_m is not None
        return self.view.depth_m

    @property
    def instance_id(self) -> np.ndarray:
        assert self.view.instance_id is not None
        return self.view.instance_id

    @cached_property
    def estimate(self) -> DepthEstimate:
        """The estimator's depth map. Raises BadRowError."""
        with errors.row(f"{self.place}, depth of {self.estimator}"):
            return self.dataset.depth_estimate(self.number, self.estimator)

    def object(self, instance_id: int) -> ViewObject:
        return next(each for each in self.view.objects if each.instance_id == instance_id)

    def image_3SS(self, size: int) -> Tensor:
        """uint8: the whole image, resized to a square. All samples of the view share this tensor."""
        if size not in self.images:
            image_3SS = resized(self.rgb, size)
            if self.blurred_px is not None:
                image_3SS = resized_tensor(resized_tensor(image_3SS, self.blurred_px), size)
            self.images[size] = image_3SS
        return self.images[size]

    def mask_SS(self, instance_id: int, size: int) -> Tensor:
        """uint8, 0 or 255: the mask of one object, resized to a square and blurred like the image."""
        if size not in self.ids:
            ids_SS = squeezed_nearest(self.instance_id, size)
            if self.blurred_px is not None:
                ids_SS = squeezed_nearest(squeezed_nearest(ids_SS, self.blurred_px), size)
            self.ids[size] = ids_SS
        return mask_of(self.ids[size], instance_id)

    def depth_SS(self, size: int) -> Tensor:
        """float32: true planar depth in metres, resized (nearest) like masks. All samples of the view share it."""
        if size not in self.depths:
            self.depths[size] = torch.from_numpy(squeezed_nearest(self.depth_m, size))
        return self.depths[size]


class SceneViews:
    """Decoded views by number, with a cache of the last ones.

    with_estimates: draw a depth estimator for each view. Raises UsageError if one that is asked for is missing.
    """

    def __init__(self, readers: Readers, options: DataOptions, seed: int, with_estimates: bool = True) -> None:
        self._readers, self._options, self._seed = readers, options, seed
        datasets = [readers.dataset(number) for number in range(len(readers))]
        self._estimators = [estimators_of(dataset, options) if with_estimates else () for dataset in datasets]
        self._kept: OrderedDict[tuple[int, int, int], SceneView] = OrderedDict()

    def get(self, dataset: int, number: int, epoch: int) -> SceneView:
        """A view by the number of its dataset and its number in it. Raises BadRowError."""
        key = dataset, number, epoch
        if key not in self._kept:
            self._kept[key] = self._read(*key)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]

    def _read(self, dataset: int, number: int, epoch: int) -> SceneView:
        rng = generator(self._seed, Stream.VIEW, epoch, dataset, number)
        source, estimators = self._readers.dataset(dataset), self._estimators[dataset]
        place = source.place(number)
        with errors.row(place):
            view = source.view(number, _IMAGES)
        estimator = estimators[int(rng.integers(len(estimators)))] if estimators else ""
        blurred = blurred_px(rng, self._options.augmentation, self._options.image_px)
        scene_id = int(rng.integers(1 << 62))
        return SceneView(place, scene_id, number, source, view, blurred, estimator)


def estimators_of(dataset: Dataset, options: DataOptions) -> tuple[str, ...]:
    """The depth estimators to draw from; () if alpha is always 0. Raises UsageError if one is missing."""
    if options.alpha == "truth":
        return ()
    known = dataset.estimators()
    if options.estimators is None and known:
        return known
    missing = sorted({*(options.estimators or ["any estimator"])} - {*known})
    if missing:
        raise UsageError(
            f"{dataset.root.location} has no depth of {', '.join(missing)} for every shard "
            f"(there is {', '.join(known) or 'none'}); make it with: scenegen annotate --data {dataset.root.location} "
            f"--estimators {','.join(options.estimators or ['simulated'])}"
        )
    return tuple(options.estimators or ())


def blurred_px(rng: np.random.Generator, augmentation: Augmentation, size: int) -> int | None:
    """A random edge to scale an image down to and back up, or None. Both numbers are drawn in any case."""
    wanted, edge = rng.random() < augmentation.resize_probability, rng.random()
    lowest = min(augmentation.resize_px, size)
    return int(lowest + edge * (size - lowest)) if wanted else None
