"""What is known of every instance while a scene is being completed, and how long its steps took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, TypeVar

import torch

from pipelines.complete.results import InstanceCompletion, InstanceFailure, Step, Watcher
from pipelines.complete.run.noise import instance_seed
from pipelines.complete.stopwatch import Stopwatch

ResultT = TypeVar("ResultT")


class Ledger:
    """An instance counts as completed until it is said to be skipped or failed."""

    def __init__(self, device: torch.device, seed: int, watcher: Watcher) -> None:
        self._stopwatch = Stopwatch(device)
        self._seed = seed
        self._watcher = watcher
        self._known: dict[int, InstanceCompletion] = {}

    def measure(self, step: Step, instance_ids: Sequence[int]) -> AbstractContextManager[None]:
        return self._stopwatch.measure(step, instance_ids)

    def note(self, instance_id: int, **facts: Any) -> None:
        """Fields of InstanceCompletion."""
        self._known[instance_id] = replace(self._of(instance_id), **facts)
        self._watcher(self._known[instance_id])

    def skip(self, instance_id: int, reason: str) -> None:
        self.note(instance_id, outcome="skipped", reason=reason)

    def sort_out(self, results: Mapping[int, ResultT | InstanceFailure]) -> dict[int, ResultT]:
        """The results of instances that go on; the others are noted as failed."""
        going_on: dict[int, ResultT] = {}
        for instance_id, result in results.items():
            if isinstance(result, InstanceFailure):
                self.note(instance_id, outcome="failed", reason=str(result))
            else:
                going_on[instance_id] = result
        return going_on

    def results(self, instance_ids: Sequence[int]) -> tuple[InstanceCompletion, ...]:
        return tuple(replace(self._of(i), seconds=dict(self._stopwatch.by_instance[i])) for i in instance_ids)

    def seconds(self) -> dict[str, float]:
        return dict(self._stopwatch.by_step)

    def _of(self, instance_id: int) -> InstanceCompletion:
        new = InstanceCompletion(instance_id, "completed", seed=instance_seed(self._seed, instance_id))
        return self._known.get(instance_id, new)
