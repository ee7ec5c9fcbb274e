"""What is known of each instance while a scene is being completed, and how long its steps took."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import torch

from pipelines.complete.results import InstanceCallback, InstanceCompletion, InstanceFailure, Step
from pipelines.complete.run.noise import instance_seed

ResultT = TypeVar("ResultT")


class InstanceTracker:
    """Collects the results of each instance, which counts as completed until it is skipped or fails.

    on_found: called with all that is known of an instance whenever that changes.
    """

    def __init__(self, device: torch.device, seed: int, on_found: InstanceCallback) -> None:
        self._timer = StepTimer(device)
        self._seed = seed
        self._on_found = on_found
        self._known: dict[int, InstanceCompletion] = {}

    def timed(self, step: Step, instance_ids: Sequence[int]) -> AbstractContextManager[None]:
        return self._timer.measure(step, instance_ids)

    def update(self, instance_id: int, **facts: Any) -> None:
        """facts: fields of InstanceCompletion."""
        self._known[instance_id] = replace(self._of(instance_id), **facts)
        self._on_found(self._known[instance_id])

    def skip(self, instance_id: int, reason: str) -> None:
        self.update(instance_id, outcome="skipped", reason=reason)

    def successes(self, results: Mapping[int, ResultT | InstanceFailure]) -> dict[int, ResultT]:
        """The results of instances that continue. The others are recorded as failed."""
        continuing: dict[int, ResultT] = {}
        for instance_id, result in results.items():
            if isinstance(result, InstanceFailure):
                self.update(instance_id, outcome="failed", reason=str(result))
            else:
                continuing[instance_id] = result
        return continuing

    def results(self, instance_ids: Sequence[int]) -> tuple[InstanceCompletion, ...]:
        return tuple(replace(self._of(i), seconds=dict(self._timer.by_instance[i])) for i in instance_ids)

    def seconds(self) -> dict[str, float]:
        """Wall time by step."""
        return dict(self._timer.by_step)

    def _of(self, instance_id: int) -> InstanceCompletion:
        new = InstanceCompletion(instance_id, "completed", seed=instance_seed(self._seed, instance_id))
        return self._known.get(instance_id, new)


class StepTimer:
    """Wall time by step.

    by_step: seconds of the whole scene. by_instance: of each instance, its equal share of every batch that it was in.
    """

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> None:
        self._device, self._clock = device, clock
        self.by_step: dict[str, float] = defaultdict(float)
        self.by_instance: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))

    @contextmanager
    def measure(self, step: Step, instance_ids: Sequence[int]) -> Iterator[None]:
        """Adds the time of the body. The device finishes its queued work before and after."""
        self._synchronise()
        start = self._clock()
        try:
            yield
        finally:
            self._synchronise()
            seconds = self._clock() - start
            self.by_step[step] += seconds
            for instance_id in instance_ids:
                self.by_instance[instance_id][step] += seconds / len(instance_ids)

    def _synchronise(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
