"""A step on all instances, in batches: as many at once as a memory budget allows, fewer if the device runs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import torch

from pipelines.complete.results import InstanceFailure, Progress, ProgressCallback, Step, StepDone
from pipelines.complete.run.memory import MemoryBudget
from pipelines.complete.run.tracker import InstanceTracker


class OfInstance(Protocol):
    """What a step works on: something of one instance."""

    @property
    def instance_id(self) -> int: ...


ItemT = TypeVar("ItemT")
InstanceItemT = TypeVar("InstanceItemT", bound=OfInstance)
ResultT = TypeVar("ResultT")


class OutOfMemory(InstanceFailure):
    """One instance alone does not fit into the memory of the device."""


class BatchRunner:
    """Runs steps of a scene in batches. It measures their time, reports progress and records failures."""

    def __init__(self, budget: MemoryBudget, tracker: InstanceTracker, on_progress: ProgressCallback) -> None:
        self._budget, self._tracker, self._on_progress = budget, tracker, on_progress

    def run(
        self,
        step: Step,
        sampler_steps: int,
        items: Sequence[InstanceItemT],
        cost: Callable[[InstanceItemT], int],
        compute: Callable[[Sequence[InstanceItemT], StepDone], Sequence[ResultT | InstanceFailure]],
    ) -> dict[int, ResultT]:
        """The results by instance, without those that failed.

        cost: bytes that an item needs. compute: is called with each batch, and reports its sampler steps.
        """

        def timed(batch: Sequence[InstanceItemT]) -> Sequence[ResultT | InstanceFailure]:
            ids = tuple(item.instance_id for item in batch)
            with self._tracker.timed(step, ids):
                return compute(batch, lambda done: self._on_progress(Progress(step, done, sampler_steps, ids)))

        results = in_batches(items, cost, self._budget, timed)
        return self._tracker.successes(dict(zip([item.instance_id for item in items], results, strict=True)))


def in_batches(
    items: Sequence[ItemT],
    cost: Callable[[ItemT], int],
    budget: MemoryBudget,
    run: Callable[[Sequence[ItemT]], Sequence[ResultT | InstanceFailure]],
) -> list[ResultT | InstanceFailure]:
    """`run` on batches of consecutive items within the budget, with at least one item each; results in order.

    A batch that does not fit into the memory of the device is halved. An item that does not fit alone has an
    OutOfMemory as its result.
    """
    results: list[ResultT | InstanceFailure] = []
    limit = len(items)
    while len(results) < len(items):
        batch = _next_batch(items[len(results) :], cost, budget.bytes, limit)
        try:
            results += run(batch)
            continue
        except torch.OutOfMemoryError as error:
            message = str(error)
        # Outside the handler, because its traceback keeps the tensors of the batch alive.
        torch.cuda.empty_cache()
        if len(batch) == 1:
            results.append(OutOfMemory(f"it does not fit into the memory of the device: {message}"))
        limit = max(len(batch) // 2, 1)
    return results


def _next_batch(items: Sequence[ItemT], cost: Callable[[ItemT], int], budget: int, limit: int) -> Sequence[ItemT]:
    size, used = 0, 0
    for item in items[:limit]:
        used += cost(item)
        if size and used > budget:
            break
        size += 1
    return items[:size]
