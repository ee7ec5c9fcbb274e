"""The catalogue of samples: which objects of which views are trained on. Images and meshes are not read for it.

Shapes: L samples, I (object, view) pairs of a dataset, O objects of its scenes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.train.data.assets import AssetFacts, nothing_left, usable_assets
from pipelines.train.data.options import DataOptions
from pipelines.train.data.readers import Readers
from pipelines.train.interfaces.loading import Split
from scenegen.contract.dataset import Dataset

Wanted = Callable[[AssetFacts], bool]


@dataclass(frozen=True)
class Catalogue:
    """Samples by number: each is an object in a view, or a lone asset. Samples of one view follow one another.

    assets: of all samples. dataset_L: int16, number of the location. view_L: int64, number of the view in its dataset.
    instance_L: int32, id of the object in its view. (View and instance of a lone asset are -1.) asset_L: int32, index
    into `assets`. weight_L: float32, how often a sample is seen in an epoch.
    """

    assets: tuple[AssetFacts, ...]
    dataset_L: np.ndarray
    view_L: np.ndarray
    instance_L: np.ndarray
    asset_L: np.ndarray
    weight_L: np.ndarray

    def __len__(self) -> int:
        return len(self.dataset_L)

    def asset(self, index: int) -> AssetFacts:
        return self.assets[self.asset_L[index]]

    def groups(self) -> np.ndarray:
        """[L] int64: samples with the same number share a decoded view."""
        changes = (np.diff(self.dataset_L) != 0) | (np.diff(self.view_L) != 0) | (self.view_L[1:] < 0)
        return np.concatenate([[0], changes.cumsum()])[: len(self)]

    def num_voxels(self) -> np.ndarray:
        """[L] int64, of each sample's asset in its canonical pose."""
        return np.array([asset.num_voxels for asset in self.assets], np.int64)[self.asset_L]


def catalogue_of_views(readers: Readers, options: DataOptions, split: Split, wanted: Wanted) -> Catalogue:
    """Samples of objects that cover enough of a view, and whose assets are of the split and wanted.

    A location may have scenes of one split alone. Raises UsageError if no location has a training sample.
    """
    parts, assets = [], _Assets()
    for number in range(len(readers)):
        dataset, known = readers.dataset(number), _wanted_assets(readers, number, options, split, wanted)
        view_I, instance_I, uid_I = _visible_objects(dataset, options.min_pixel_ratio)
        code_of_uid = np.array([assets.add(known[uid]) if uid in known else -1 for uid in uid_I.dictionary.to_pylist()])
        asset_I = code_of_uid[uid_I.indices.to_numpy()] if len(uid_I) else np.zeros(0, int)
        keep = asset_I >= 0
        parts.append(_part(number, view_I[keep], instance_I[keep], asset_I[keep], options))
    found = _joined(assets, parts)
    if split == "train" and not len(found):
        what = f"object of the {split} assets that covers {options.min_pixel_ratio:.2%} of a view"
        raise nothing_left(what, ", ".join(readers.dataset(number).root.location for number in range(len(readers))))
    return found


def catalogue_of_assets(readers: Readers, options: DataOptions, split: Split, wanted: Wanted) -> Catalogue:
    """Samples of the lone assets of the split that are wanted; if several locations have one, from the first of them.

    Raises UsageError if a location has no training asset.
    """
    parts, assets, seen = [], _Assets(), set[str]()
    for number in range(len(readers)):
        known = _wanted_assets(readers, number, options, split, wanted)
        codes = np.array([assets.add(known[uid]) for uid in known if uid not in seen], np.int64)
        seen |= known.keys()
        if split == "train" and not known:
            raise nothing_left("asset to train on", readers.objects(number).root.location)
        nowhere = np.full(len(codes), -1)
        parts.append(_part(number, nowhere, nowhere, codes, options))
    return _joined(assets, parts)


class _Assets:
    """Numbers assets in the order in which they are added."""

    def __init__(self) -> None:
        self.facts: list[AssetFacts] = []

    def add(self, asset: AssetFacts) -> int:
        self.facts.append(asset)
        return len(self.facts) - 1


def _wanted_assets(
    readers: Readers, number: int, options: DataOptions, split: Split, wanted: Wanted
) -> Mapping[str, AssetFacts]:
    known = usable_assets(readers.objects(number), split, options.held_out)
    return {uid: asset for uid, asset in known.items() if asset.num_voxels and wanted(asset)}


def _visible_objects(dataset: Dataset, min_pixel_ratio: float) -> tuple[np.ndarray, np.ndarray, pa.DictionaryArray]:
    """View number, instance id and asset uid [I] of every object that covers enough of a view, view by view."""
    columns = ["scene_index", "width", "height", "objects.instance_id", "objects.visible_px"]
    views = dataset.table("views", columns).combine_chunks()
    objects = views["objects"].chunk(0) if views.num_rows else pa.array([], pa.list_(pa.struct([])))
    view_I = pc.list_parent_indices(objects).to_numpy()
    flat = objects.flatten()
    instance_I, visible_I = (flat.field(name).to_numpy() for name in ("instance_id", "visible_px"))
    pixels = views["width"].to_numpy().astype(np.int64) * views["height"].to_numpy()
    keep = visible_I >= np.maximum(min_pixel_ratio * pixels[view_I], 1)
    view_I, instance_I = view_I[keep], instance_I[keep].astype(np.int64)
    return view_I, instance_I, _uids(dataset, views["scene_index"].to_numpy()[view_I], instance_I)


def _uids(dataset: Dataset, scene_I: np.ndarray, instance_I: np.ndarray) -> pa.DictionaryArray:
    """[I]: the asset uid of each pair of scene index and instance id."""
    columns = ["scene_index", "objects.instance_id", "objects.asset_uid"]
    scenes = dataset.table("scenes", columns).combine_chunks()
    objects = scenes["objects"].chunk(0)
    flat = objects.flatten()
    scene_O = scenes["scene_index"].to_numpy()[pc.list_parent_indices(objects).to_numpy()]
    key_O = scene_O * (1 << 16) + flat.field("instance_id").to_numpy()
    order = np.argsort(key_O, kind="stable")
    found = order[np.searchsorted(key_O[order], scene_I * (1 << 16) + instance_I)] if len(scene_I) else order[:0]
    return flat.field("asset_uid").take(pa.array(found)).dictionary_encode()


def _part(number: int, view_I: np.ndarray, instance_I: np.ndarray, asset_I: np.ndarray, options: DataOptions) -> tuple:
    weight = options.locations[number].weight
    size = len(view_I)
    return (
        np.full(size, number, np.int16),
        view_I.astype(np.int64),
        instance_I.astype(np.int32),
        asset_I.astype(np.int32),
        np.full(size, weight, np.float32),
    )


def _joined(assets: _Assets, parts: list[tuple]) -> Catalogue:
    return Catalogue(tuple(assets.facts), *(np.concatenate(column) for column in zip(*parts, strict=True)))
