"""A row of a dataset → what the pipeline is shown."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from pipelines.complete.inputs.scene_inputs import SceneInputs
from pipelines.complete.instance_masks import IdImage, LazyMasks
from pipelines.complete.view import Camera
from pipelines.errors import UsageError
from scenegen.contract.dataset import Dataset
from scenegen.contract.records import View

GROUND_TRUTH = "gt"


def read_row(data: str, number: int, estimator: str) -> SceneInputs:
    """A view of a dataset with its instances and its camera.

    estimator: whose depth: "gt" for the exact depth, else a sidecar's, aligned as a whole to the exact depth.
    Raises UsageError for a number that is out of range.
    """
    dataset = Dataset.open(data)
    if not 0 <= number < len(dataset):
        raise UsageError(f"{data} has views 0 to {len(dataset) - 1}, not {number}")
    view = dataset.view(number, ["rgb", "instance_id"])
    depth = dataset.depth_estimate(number, estimator)
    assert view.rgb is not None  # it was asked for
    return SceneInputs(
        rgb_HW3=view.rgb,
        masks=_object_masks(view),
        depth_HW=np.where(depth.valid, depth.aligned_m, np.nan).astype(np.float32),
        camera=Camera(view.K_px, view.T_world_cam),
        exact_depth=estimator == GROUND_TRUTH,
        described={
            "shards": data,
            "view": number,
            "scene_index": view.scene_index,
            "view_index": view.view_index,
            "depth": estimator,
        },
    )


def _object_masks(view: View) -> Mapping[int, np.ndarray]:
    """Of the objects that are visible in the view. The floor and the walls are no objects."""
    assert view.instance_id is not None  # it was asked for
    ids = IdImage(view.instance_id)
    visible = [facts.instance_id for facts in view.facts if facts.visible_px]
    return LazyMasks({i: partial(ids.__getitem__, i) for i in visible})
