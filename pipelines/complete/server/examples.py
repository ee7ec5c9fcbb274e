"""Rows of a dataset as images to try: with masks, depth and camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.complete.server.jobs import Job, JobStore
from pipelines.complete.server.limits import Refused
from pipelines.complete.sources import GROUND_TRUTH, from_row
from scenegen.contract.dataset import Dataset


@dataclass(frozen=True)
class Examples:
    """shards: the dataset. depths: what its depth may come from."""

    shards: str
    count: int
    depths: tuple[str, ...]

    @classmethod
    def of(cls, shards: str) -> Examples:
        dataset = Dataset.open(shards)
        return cls(shards, len(dataset), (GROUND_TRUTH, *dataset.estimators()))

    def open(self, number: int, depth: str, store: JobStore) -> Job:
        """A new job with everything of a row. Raises Refused."""
        if number >= self.count or depth not in self.depths:
            raise Refused(404, f"There are examples 0 to {self.count - 1}, with depth from {', '.join(self.depths)}.")
        inputs = from_row(self.shards, number, depth)
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
        job.origin = {**inputs.described, "shards": "the server's examples"}
        return job
