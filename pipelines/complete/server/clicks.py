"""Clicks on the image of a job → the mask of the object. Runs beside the worker, one click at a time."""

from __future__ import annotations

import logging
import threading
from typing import Any

import numpy as np
import torch

from pipelines.complete.inputs.segment_anything import Segmenter
from pipelines.complete.server.jobs import Job
from pipelines.complete.server.limits import Limits, Refused

EMBEDDING = "embedding"
LOG = logging.getLogger("fixer-complete")


class Clicker:
    """Owns the segmenter. The embedding of an image is kept with its job, so that only the first click takes long."""

    def __init__(self, segmenter: Segmenter, limits: Limits) -> None:
        self.name = segmenter.name
        self._segmenter, self._limits = segmenter, limits
        self._one_at_a_time = threading.Lock()
        self._room = threading.BoundedSemaphore(limits.waiting + 1)

    def mask(self, job: Job, values: Any) -> np.ndarray:
        """(H, W) bool. values: JSON from the page, {"points": [[x, y, 1 inside or 0 outside], ...]} in pixels.

        Raises Refused.
        """
        points_P3 = self._points(values, job.size_px)
        if not self._room.acquire(blocking=False):
            raise Refused(429, "Many people are clicking at this moment; try again in some seconds.")
        try:
            with self._one_at_a_time:
                return self._computed(job, points_P3)
        except torch.OutOfMemoryError as error:
            LOG.warning("no memory for a click: %s", error)
            raise Refused(503, "The device has no memory left for the segmenter; try again in a minute.") from error
        finally:
            self._room.release()

    def _computed(self, job: Job, points_P3: np.ndarray) -> np.ndarray:
        if not job.has(EMBEDDING):
            job.keep(EMBEDDING, self._segmenter.embed(job.load("rgb")))
        return self._segmenter.mask(job.load(EMBEDDING), job.size_px, points_P3[:, :2], points_P3[:, 2] == 1)

    def _points(self, values: Any, size_px: tuple[int, int]) -> np.ndarray:
        given = values.get("points") if isinstance(values, dict) else None
        if not isinstance(given, list) or not given or not all(_is_point(one, size_px) for one in given):
            raise Refused(400, 'Clicks are {"points": [[x, y, 1 or 0], ...]}, in pixels inside of the image.')
        if len(given) > self._limits.clicks:
            raise Refused(413, f"One object takes {self._limits.clicks} clicks; draw the rest with the brush.")
        return np.array(given, np.float64)


def _is_point(one: Any, size_px: tuple[int, int]) -> bool:
    if not isinstance(one, list) or len(one) != 3 or not all(type(value) in (int, float) for value in one):
        return False
    x, y, inside = one
    return 0 <= x <= size_px[0] and 0 <= y <= size_px[1] and inside in (0, 1)
