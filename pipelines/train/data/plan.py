"""How the samples of a step are distributed over ranks and micro-batches.

order.py has chosen the samples, and losses are weighted over the whole batch, so that the plan does not change what is
learned, only where and how fast.
Shapes: B samples of a step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Positions = tuple[int, ...]
"""Samples of one micro-batch or bundle, by their position in the step's batch."""


def plan_step(
    cost_B: np.ndarray, group_B: np.ndarray, world_size: int, micro_batch_tokens: float
) -> list[list[Positions]]:
    """The micro-batches of each rank: equally many for all ranks, none empty, of nearly equal cost.

    cost_B: tokens of each sample. group_B: its view; samples of one view stay together where possible.
    micro_batch_tokens: budget of a micro-batch. It is exceeded by a single larger sample, or if some rank has fewer
    samples than the others need micro-batches, which happens only if the ranks do not divide the batch.
    Raises ValueError for fewer samples than ranks.
    """
    if len(cost_B) < world_size:
        raise ValueError(f"{len(cost_B)} samples cannot be shared by {world_size} ranks; use a larger batch")
    bundles = _bundles(group_B, largest=max(1, len(cost_B) // world_size))
    ranks = _spread(bundles, cost_B, world_size, room=-(-len(cost_B) // world_size))
    fewest = min(sum(map(len, rank)) for rank in ranks)
    for count in range(1, fewest + 1):
        plan = [_micro_batches(rank, cost_B, count) for rank in ranks]
        if all(cost_B[list(micro)].sum() <= micro_batch_tokens or len(micro) == 1 for rank in plan for micro in rank):
            break
    return plan


def micro_batches(cost_B: np.ndarray, micro_batch_tokens: float) -> list[Positions]:
    """Samples in their order, cut into micro-batches within the token budget."""
    cut: list[list[int]] = [[]]
    for position, cost in enumerate(cost_B):
        if cut[-1] and cost_B[cut[-1]].sum() + cost > micro_batch_tokens:
            cut.append([])
        cut[-1].append(position)
    return [tuple(each) for each in cut if each]


def _micro_batches(bundles: Sequence[Positions], cost_B: np.ndarray, count: int) -> list[Positions]:
    """The samples of a rank in `count` micro-batches."""
    samples = sum(map(len, bundles))
    smaller = _cut(bundles, largest=max(1, samples // count))
    spread = _spread(smaller, cost_B, count, room=samples)
    return [tuple(sorted(position for bundle in micro for position in bundle)) for micro in spread]


def _bundles(group_B: np.ndarray, largest: int) -> list[Positions]:
    """Runs of samples of one view, cut into bundles of at most `largest` samples."""
    borders = np.flatnonzero(np.diff(group_B)) + 1
    return _cut([tuple(map(int, run)) for run in np.split(np.arange(len(group_B)), borders)], largest)


def _cut(bundles: Sequence[Positions], largest: int) -> list[Positions]:
    return [bundle[at : at + largest] for bundle in bundles for at in range(0, len(bundle), largest)]


def _spread(bundles: Sequence[Positions], cost_B: np.ndarray, bins: int, room: int) -> list[list[Positions]]:
    """Bundles in bins: the most expensive bundle first, each into the cheapest bin with room (Graham 1969).

    room: largest number of samples in a bin. A bundle that fits nowhere is split into its samples.
    """
    waiting = sorted(bundles, key=lambda bundle: (-cost_B[list(bundle)].sum(), bundle), reverse=True)
    filled: list[list[Positions]] = [[] for _ in range(bins)]
    load, used = np.zeros(bins), np.zeros(bins, int)
    while waiting:
        bundle = waiting.pop()
        fits = np.flatnonzero(used + len(bundle) <= room)
        if not len(fits):
            waiting += [(position,) for position in bundle]
            continue
        chosen = fits[load[fits].argmin()]
        filled[chosen].append(bundle)
        load[chosen] += cost_B[list(bundle)].sum()
        used[chosen] += len(bundle)
    return filled
