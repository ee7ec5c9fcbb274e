"""Ground truth from our own shards and objects tables: each canonical mesh, placed by its T_world_obj."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np

from pipelines.errors import PipelineError
from pipelines.evaluate.records.shapes import Shape
from pipelines.evaluate.records.truth import TruthObject, TruthView
from pipelines.evaluate.truth.selection import (
    MIN_PIXEL_RATIO,
    OFFICIAL_LARGEST,
    evenly_spaced,
    large_enough,
    largest_instances,
)
from scenegen.contract.dataset import Dataset
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.objects import ObjectGeometry
from scenegen.contract.records import View, ViewObject

_KEPT_VIEWS = 4  # several systems ask for the same view in turn


def view_key(scene_index: int, view_index: int) -> str:
    """The name of a view of our datasets, and of its folder among predictions."""
    return f"scene{scene_index:06d}_view{view_index:03d}"


class ShardTruth:
    """Views of one of our datasets.

    largest: how many instances of a view are judged, the largest ones; 0 takes all. min_ratio: share of the image that
    an instance must cover. limit: how many views, evenly spaced over the dataset; 0 takes all.
    """

    name = "own"

    def __init__(
        self,
        dataset: Dataset,
        objects: ObjectDataset,
        largest: int = OFFICIAL_LARGEST,
        min_ratio: float = MIN_PIXEL_RATIO,
        limit: int = 0,
    ) -> None:
        self.objects = objects
        self._dataset, self._largest, self._min_ratio = dataset, largest, min_ratio
        numbers = evenly_spaced(range(len(dataset)), limit)
        table = dataset.table("views", ["scene_index", "view_index"]).to_pydict()
        self._numbers = {view_key(table["scene_index"][i], table["view_index"][i]): i for i in numbers}
        self._views: OrderedDict[str, TruthView] = OrderedDict()

    @classmethod
    def open(cls, shards: str | Path, objects: str | Path, largest: int, min_ratio: float, limit: int) -> ShardTruth:
        """Raises PipelineError if either has nothing to read."""
        try:
            return cls(Dataset.open(shards), ObjectDataset.open(objects), largest, min_ratio, limit)
        except FileNotFoundError as error:
            raise PipelineError(str(error)) from error

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self._numbers)

    def view(self, key: str) -> TruthView:
        if key not in self._views:
            self._views[key] = self._read(key)
            if len(self._views) > _KEPT_VIEWS:
                self._views.popitem(last=False)
        return self._views[key]

    def depth_estimate(self, key: str, estimator: str) -> tuple[np.ndarray, bool]:
        try:
            estimate = self._dataset.depth_estimate(self._numbers[key], estimator)
        except FileNotFoundError as error:
            raise PipelineError(str(error)) from error
        if estimate.kind == "inverse_depth":
            # The stored alignment turns it into depth; an affine fit of depth cannot repair a shift of inverse depth.
            return np.where(estimate.valid, estimate.aligned_m, np.nan), False
        return np.where(estimate.valid, estimate.map, np.nan), estimate.metric

    def _read(self, key: str) -> TruthView:
        view = self._dataset.view(self._numbers[key], ["rgb", "depth_m", "instance_id"])
        assert view.rgb is not None and view.depth_m is not None and view.instance_id is not None
        judged = large_enough(view.instance_id, largest_instances(view.instance_id, self._largest), self._min_ratio)
        known = {one.instance_id: one for one in view.objects}
        return TruthView(
            key=key,
            scene=f"scene{view.scene_index:06d}",
            rgb_HW3=view.rgb,
            instance_HW=view.instance_id,
            depth_HW=view.depth_m,
            K_px=view.K_px,
            T_world_cam=view.T_world_cam,
            objects=tuple(self._object(view, known[i]) for i in judged),
        )

    def _object(self, view: View, one: ViewObject) -> TruthObject:
        geometry = self._geometry(one.asset_uid)
        return TruthObject(
            instance_id=one.instance_id,
            shape=Shape(geometry.vertices, geometry.faces).moved(one.T_world_obj),
            T_world_obj=one.T_world_obj,
            visible_px=one.facts.visible_px,
            occlusion=one.facts.occlusion,
            mask_components=one.facts.mask_components,
            asset_uid=one.asset_uid,
        )

    def _geometry(self, uid: str) -> ObjectGeometry:
        location = self.objects.root.location
        try:
            geometry = self.objects.geometry(uid)
        except KeyError as error:
            raise PipelineError(
                f"{location} does not know asset {uid} of this dataset; make its objects with: scenegen objects"
            ) from error
        if geometry.status != "ok":
            raise PipelineError(f"asset {uid} failed when {location} was made ({geometry.failure}); make it again")
        return geometry
