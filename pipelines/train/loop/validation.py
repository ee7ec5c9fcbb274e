"""Validation on held-out assets with the averaged weights; samples, times and noise are the same every time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from pipelines.train.interfaces.loading import Batch, Loader, LoaderOptions
from pipelines.train.interfaces.stage import Stage
from pipelines.train.optimisation.distributed import Ranks
from pipelines.train.optimisation.learner import Learner
from pipelines.train.optimisation.metrics import loss_names, means, weighted_sums


class Validation:
    """This rank's share of the validation samples, loaded once and kept in main memory.

    num_samples: at most, over all ranks; evenly spaced among the held-out samples. Empty for a stage without them.
    """

    def __init__(self, stage: Stage, loader: Loader, options: LoaderOptions, num_samples: int, ranks: Ranks) -> None:
        self._stage, self._loader, self._options, self._ranks = stage, loader, options, ranks
        self._source = stage.source("val")
        total = len(self._source)
        chosen = np.unique(np.linspace(0, total - 1, min(num_samples, total)).round().astype(int)) if total else []
        self._indices = [int(index) for index in chosen]
        self._loaded: list[Batch] | None = None

    def __len__(self) -> int:
        """Number of validation samples of all ranks."""
        return len(self._indices)

    def run(self, learner: Learner) -> dict[str, float]:
        """Means over the samples of all ranks, by name: the losses (also by bin of t) and the stage's own measures."""
        with learner.averaged() as module:
            names: tuple[str, ...] = ()
            sums = []
            for batch in self._batches():
                losses = module(batch)
                names = loss_names(losses)
                sums.append(weighted_sums(losses).cpu())
            measured = self._stage.measure(module, self._batches()) if sums else {}
        shares = self._ranks.gather((names, sum(sums[1:], start=sums[0]) if sums else None, _plain(measured)))
        names = next((names for names, *_ in shares if names), ())
        total = sum(share for _, share, _ in shares if share is not None)
        found = means(names, total) if isinstance(total, torch.Tensor) else {}
        return {**found, **_means_of_samples([values for *_, values in shares])}

    def snapshot(self, learner: Learner, folder: Path) -> list[Path]:
        """Pictures of the first batch, written by rank 0; on other ranks an empty list."""
        with learner.averaged() as module:
            first = next(self._batches(), None) if self._ranks.is_main else None
            if first is None:
                return []
            folder.mkdir(parents=True, exist_ok=True)
            return self._stage.snapshot(module, first, folder)

    def _batches(self) -> Iterator[Batch]:
        if self._loaded is None:
            share = self._indices[self._ranks.rank :: self._ranks.world_size]
            self._loaded = list(self._loader.fixed_batches(self._source, share, self._options)) if share else []
        for batch in self._loaded:
            yield batch.to(self._ranks.device, non_blocking=True)


def _plain(measured: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    return {name: [float(value) for value in values] for name, values in measured.items()}


def _means_of_samples(shares: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, float]:
    """The mean of each measure over the samples of all ranks; NaN marks a sample without a value."""
    together: dict[str, list[float]] = {}
    for share in shares:
        for name, values in share.items():
            together.setdefault(name, []).extend(values)
    return {name: float(np.nanmean(values)) for name, values in together.items() if not np.isnan(values).all()}
