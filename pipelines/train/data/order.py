"""The order of samples: which ones a step trains on, as a pure function of (seed, step). It has no other state.

An epoch shows every sample once (more or less often by its weight), shuffled in bundles: up to `per_view` objects of
one view come together, so that a worker decodes the view once and the image encoders see its scene once. Bundles and
their order differ from epoch to epoch. With bundles of 4, a batch of 128 still has 32 views.

Hashes shuffle (scenegen.contract.shuffling), so that the order depends on no library.
Shapes: L samples, G groups (views), B samples of a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from pipelines.train.interfaces.loading import SampleSource
from scenegen.contract.shuffling import random_keys

_SAMPLE, _BUNDLE, _PHASE = range(3)  # purposes of hashes


@runtime_checkable
class Grouped(Protocol):
    """A source that also tells which samples share work, and how often each is seen.

    per_view: largest number of samples of a group that come together.
    """

    per_view: int

    def groups(self) -> np.ndarray:
        """[L] int64, ascending: samples with the same number share a decoded view."""
        ...

    def weights(self) -> np.ndarray:
        """[L] float: how often a sample is seen in an epoch; the same for all samples of a group."""
        ...


@dataclass(frozen=True)
class StepSamples:
    """Samples of one step.

    index_B: int64, their numbers. visit_B: int64, how often each was seen before; with weight 1, the epoch.
    """

    index_B: np.ndarray
    visit_B: np.ndarray


class SampleOrder:
    """The order of a source's samples.

    groups_L, weights_L: as in Grouped. per_view: size of the largest bundle. Raises ValueError without samples.
    """

    def __init__(self, groups_L: np.ndarray, weights_L: np.ndarray, seed: int, per_view: int) -> None:
        if not len(groups_L):
            raise ValueError("there is no sample to put in order")
        self._seed, self._per_view = seed, per_view
        self._group_L = groups_L
        self._first_G = np.flatnonzero(np.diff(groups_L, prepend=groups_L[0] - 1))
        self._size_G = np.diff(self._first_G, append=len(groups_L))
        self._weight_G = weights_L[self._first_G].astype(np.float64)
        self._phase_G = random_keys(np.arange(len(self._first_G)), seed, 0, _PHASE) / 2.0**64
        self._starts = [0]  # position of the first sample of each epoch
        self._current: tuple[int, StepSamples] | None = None

    @classmethod
    def of(cls, source: SampleSource[Any], seed: int) -> SampleOrder:
        """The order of a source. If it is not Grouped, each sample is a group, and seen once in an epoch."""
        if isinstance(source, Grouped):
            return cls(source.groups(), source.weights(), seed, source.per_view)
        return cls(np.arange(len(source)), np.ones(len(source)), seed, per_view=1)

    def step(self, step: int, batch_size: int) -> StepSamples:
        """The samples of a step (from 0); a batch may span the end of an epoch."""
        position, end = step * batch_size, (step + 1) * batch_size
        parts = []
        while position < end:
            epoch, first = self._epoch_at(position)
            picks = self._epoch(epoch)
            part = slice(position - first, min(end - first, len(picks.index_B)))
            parts.append((picks.index_B[part], picks.visit_B[part]))
            position = first + part.stop
        return StepSamples(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _epoch_at(self, position: int) -> tuple[int, int]:
        """The epoch of a position in the endless order of samples, and the position of its first sample."""
        while self._starts[-1] <= position:
            visits_G = self._visits(len(self._starts) - 1)
            self._starts.append(self._starts[-1] + int((np.diff(visits_G, axis=0)[0] * self._size_G).sum()))
        epoch = int(np.searchsorted(self._starts, position, side="right")) - 1
        return epoch, self._starts[epoch]

    def _visits(self, epoch: int) -> np.ndarray:
        """[2, G] int64: visits of each group before and after an epoch; fractional weights are spread evenly."""
        return np.floor(np.array([[epoch], [epoch + 1]]) * self._weight_G + self._phase_G).astype(np.int64)

    def _epoch(self, epoch: int) -> StepSamples:
        if self._current is None or self._current[0] != epoch:
            self._current = epoch, self._shuffled(epoch)
        return self._current[1]

    def _shuffled(self, epoch: int) -> StepSamples:
        before_G, after_G = self._visits(epoch)
        parts = [self._round(epoch, before_G + extra, after_G) for extra in range(int((after_G - before_G).max()))]
        index, visit, bundle = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.argsort(bundle, kind="stable")
        return StepSamples(index[order], visit[order])

    def _round(self, epoch: int, visit_G: np.ndarray, after_G: np.ndarray) -> tuple[np.ndarray, ...]:
        """One visit to every group that is still due one in this epoch.

        visit_G: number of the visit. after_G: visits after the epoch. Returns sample numbers, their visits, and random
        numbers by which bundles are shuffled: one for all samples of a bundle.
        """
        rank_G = np.cumsum(visit_G < after_G) - 1
        index = np.flatnonzero((visit_G < after_G)[np.repeat(np.arange(len(visit_G)), self._size_G)])
        group = np.repeat(np.arange(len(visit_G)), self._size_G)[index]
        visit = visit_G[group]
        shuffled = np.lexsort((random_keys(index, self._seed, visit, _SAMPLE), group))
        index, size = index[shuffled], self._size_G[group]
        start_G = np.concatenate([[0], np.cumsum(self._size_G[visit_G < after_G])])[:-1]
        place = np.arange(len(index)) - start_G[rank_G[group]]
        number = place * (-(-size // self._per_view)) // size  # bundles of a view are of nearly equal size
        return index, visit, random_keys(group * (1 << 16) + number, self._seed, visit, _BUNDLE)
