"""The views of a dataset as a map-style PyTorch dataset."""

from __future__ import annotations

import os
import pickle
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import get_worker_info

from scenegen.contract.dataset import Dataset
from scenegen.contract.records import ViewObject
from scenegen.loading.tensors import Transform, ViewSample, view_sample


class ViewDataset(TorchDataset[Any]):
    """Chosen views of a dataset as samples (`ViewSample`), by number; for DataLoader with any number of workers.

    Nothing is read but the images that were asked for. Each process opens files of its own.
    """

    def __init__(
        self,
        data: str | os.PathLike[str] | Dataset,
        images: Sequence[str] = ("rgb", "depth_m"),
        *,
        objects: bool = False,
        scenes: Collection[int] | None = None,
        min_visible_px: int = 1,
        max_occlusion: float = 1.0,
        transform: Transform | None = None,
    ) -> None:
        """data: what `open_dataset` takes, or what it has opened. images: names of View's images, such as normal_cam.

        objects: samples tell of their objects; they then need collate_fn=collate_views. scenes: only these, for
        example range(900). min_visible_px, max_occlusion: objects that are seen less or hidden more are left out;
        where these are given, also views without any other object. transform: from a sample to what is given out.
        Raises FileNotFoundError without a finished shard, ValueError for an image that the dataset lacks and if no
        view is left.
        """
        dataset = data if isinstance(data, Dataset) else Dataset.open(data)
        self.images, self.objects, self.transform = tuple(images), objects, transform
        self._min_visible_px, self._max_occlusion = min_visible_px, max_occlusion
        self._pickled = pickle.dumps(dataset)
        self._opened: tuple[int, Dataset] = os.getpid(), dataset
        dataset.view(0, self.images, objects=False)  # an image that is not there is an error now, not in a worker
        self.numbers = _chosen(dataset, scenes, min_visible_px, max_occlusion)
        if not len(self.numbers):
            raise ValueError(
                f"none of the {len(dataset)} views of {dataset.root.location} is chosen; "
                "choose other scenes, a smaller min_visible_px or a larger max_occlusion"
            )

    @property
    def dataset(self) -> Dataset:
        """The dataset, with files of this process: none of a parent's may be used after a fork."""
        owner, dataset = self._opened
        if owner != os.getpid():
            if get_worker_info() is not None:  # other workers want the other cores
                pa.set_cpu_count(1)
            dataset = pickle.loads(self._pickled)
            self._opened = os.getpid(), dataset
        return dataset

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Any:
        """Sample `index` of those that are chosen, a ViewSample, after the transform. Raises IndexError."""
        sample = self.sample(index)
        return sample if self.transform is None else self.transform(sample)

    def sample(self, index: int) -> ViewSample:
        """Sample `index` before the transform. Raises IndexError."""
        number = int(self.numbers[index])
        view = self.dataset.view(number, self.images, self.objects)
        seen = [o for o in view.objects if self._passes(o)] if self.objects else None
        return view_sample(number, view, self.images, seen)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": (-1, None)}

    def _passes(self, seen: ViewObject) -> bool:
        return seen.facts.visible_px >= self._min_visible_px and seen.facts.occlusion <= self._max_occlusion


def _chosen(dataset: Dataset, scenes: Collection[int] | None, min_visible_px: int, max_occlusion: float) -> np.ndarray:
    """Numbers of the views that the filters leave, ascending; int64."""
    chosen = np.ones(len(dataset), bool)
    if scenes is not None:
        scene = dataset.table("views", ["scene_index"])["scene_index"].to_numpy()
        chosen &= np.isin(scene, np.fromiter(scenes, np.int64))
    if min_visible_px > 1 or max_occlusion < 1:  # the columns of all objects take a while to read
        table = dataset.table("views", ["objects.visible_px", "objects.occlusion"]).combine_chunks()
        objects = table["objects"].combine_chunks()
        visible, occlusion = (objects.flatten().field(name).to_numpy() for name in ("visible_px", "occlusion"))
        passing = (visible >= min_visible_px) & (occlusion <= max_occlusion)
        chosen &= np.bincount(pc.list_parent_indices(objects).to_numpy()[passing], minlength=len(dataset)) > 0
    return np.flatnonzero(chosen)
