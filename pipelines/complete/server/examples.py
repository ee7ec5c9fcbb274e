"""Rows of a dataset as example images: listed, as thumbnails, and as jobs with masks, depth and camera."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from pipelines.complete.inputs.from_dataset import GROUND_TRUTH, read_row
from pipelines.complete.server.jobs import Job, JobStore
from pipelines.complete.server.limits import Refused
from scenegen.contract.dataset import Dataset

PAGE_ROWS = 12
THUMBNAIL_PX = 208  # longest side; the page shows them at half that size, for screens of double resolution
KEPT = 1024  # thumbnails in memory, of some kilobytes each


@dataclass(frozen=True)
class Example:
    """A row in the list. number: of the row. objects: how many are visible."""

    number: int
    scene_index: int
    view_index: int
    objects: int


class Examples:
    """count: the number of rows. depths: the sources of their depth. Its methods may be called from any thread."""

    def __init__(self, shards: str) -> None:
        """shards: where the dataset is. Raises FileNotFoundError or ValueError if there is none."""
        self._shards, self._dataset = shards, Dataset.open(shards)
        self._reading = threading.Lock()  # a dataset keeps its files open, and is for one thread
        self.count = len(self._dataset)
        self.depths = (GROUND_TRUTH, *self._dataset.estimators())
        self.thumbnail = lru_cache(KEPT)(self._thumbnail)

    def page(self, first: int) -> list[Example]:
        """The rows from `first` on, as many as the page shows. Raises Refused."""
        self._check(first)
        with self._reading:
            views = {i: self._dataset.view(i, []) for i in range(first, min(first + PAGE_ROWS, self.count))}
        return [
            Example(i, view.scene_index, view.view_index, sum(facts.visible_px > 0 for facts in view.facts))
            for i, view in views.items()
        ]

    def _thumbnail(self, number: int) -> bytes:
        """A small WebP of a row. Raises Refused."""
        self._check(number)
        with self._reading:
            rgb_HW3 = self._dataset.view(number, ["rgb"]).rgb
        assert rgb_HW3 is not None  # it was asked for
        image = Image.fromarray(rgb_HW3)
        image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        webp = io.BytesIO()
        image.save(webp, "WEBP", quality=80)
        return webp.getvalue()

    def open(self, number: int, depth: str, store: JobStore) -> Job:
        """A new job with everything of a row. Raises Refused."""
        self._check(number)
        if depth not in self.depths:
            raise Refused(404, f"The examples have depth from {', '.join(self.depths)}.")
        inputs = read_row(self._shards, number, depth)
        with self._reading:
            things = self._dataset.view(number, []).objects
        ids_HW = np.zeros(inputs.depth_HW.shape, np.int32)
        for instance_id, mask_HW in inputs.masks.items():
            ids_HW[mask_HW] = instance_id
        job = store.create()
        job.keep("rgb", inputs.rgb_HW3)
        job.keep("ids", ids_HW)
        job.keep("depth", inputs.depth_HW)
        job.size_px = ids_HW.shape[1], ids_HW.shape[0]
        job.camera = {"K_px": inputs.camera.K_px.tolist(), "T_world_cam": inputs.camera.T_world_cam.tolist()}
        job.exact_depth = inputs.exact_depth
        job.names = {str(thing.instance_id): thing.asset_uid for thing in things if thing.instance_id in inputs.masks}
        job.depth_note = "exact, in metres" if inputs.exact_depth else f"estimated by {depth}, in metres"
        job.origin = {**inputs.described, "shards": "the server's examples"}
        return job

    def _check(self, number: int) -> None:
        if not 0 <= number < self.count:
            raise Refused(404, f"There are examples 0 to {self.count - 1}.")
