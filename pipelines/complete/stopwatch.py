"""Wall time by step, and each instance's share of it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from pipelines.complete.results import Step


class Stopwatch:
    """by_step: seconds of the whole scene. by_instance: of each instance, its equal share of every batch it was in."""

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> None:
        self._device, self._clock = device, clock
        self.by_step: dict[str, float] = defaultdict(float)
        self.by_instance: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))

    @contextmanager
    def measure(self, step: Step, instance_ids: Sequence[int]) -> Iterator[None]:
        """Adds the time of the body, with the device's queue emptied before and after."""
        self._wait()
        start = self._clock()
        try:
            yield
        finally:
            self._wait()
            seconds = self._clock() - start
            self.by_step[step] += seconds
            for instance_id in instance_ids:
                self.by_instance[instance_id][step] += seconds / len(instance_ids)

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
