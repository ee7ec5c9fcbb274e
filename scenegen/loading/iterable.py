"""The views of a dataset as an iterable PyTorch dataset: shuffled, shared by workers and ranks, resumed exactly.

The order of an epoch is a function of (seed, epoch) and has no other state, so that resuming needs a position alone.
Shapes: V views.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import distributed
from torch.utils.data import IterableDataset, get_worker_info

from scenegen.contract.shuffling import random_keys
from scenegen.loading.views import ViewDataset

_SHARD, _VIEW, _TRANSFORM = range(3)  # purposes of random keys


class IterableViewDataset(IterableDataset[Any]):
    """Every view of a ViewDataset once an epoch, over all workers and ranks.

    Views are shuffled among `shards_together` shards at a time, drawn at random, so that each file is opened once an
    epoch however many there are. `set_epoch` makes another order. What a transform draws from PyTorch's generator, as
    torchvision's do, is seeded by (seed, epoch, view): it is the same for any number of workers, and after resuming.
    Iterators have `state_dict` and `load_state_dict`, which torchdata's StatefulDataLoader calls.
    """

    def __init__(
        self,
        views: ViewDataset,
        *,
        batch_size: int = 1,
        seed: int = 0,
        shuffle: bool = True,
        equal_ranks: bool = False,
        rank: int | None = None,
        world_size: int | None = None,
        shards_together: int = 32,
    ) -> None:
        """batch_size: the DataLoader's; batches are then the same, in the same order, for any number of workers.

        equal_ranks: up to world_size - 1 views, others in each epoch, are left out, so that every rank has as many, as
        DistributedDataParallel needs. rank, world_size: of torch.distributed if it is initialised, else 0 and 1.
        Raises ValueError for numbers that cannot be.
        """
        grouped = distributed.is_available() and distributed.is_initialized()
        self.world_size = world_size if world_size is not None else distributed.get_world_size() if grouped else 1
        self.rank = rank if rank is not None else distributed.get_rank() if grouped else 0
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank {self.rank} of {self.world_size}; ranks count from 0 to world_size - 1")
        if batch_size < 1 or shards_together < 1:
            raise ValueError(f"batch_size is {batch_size} and shards_together {shards_together}; both are at least 1")
        self.views, self.batch_size, self.seed, self.shuffle = views, batch_size, seed, shuffle
        self.equal_ranks, self.shards_together = equal_ranks, shards_together
        self._shard_V = np.repeat(np.arange(len(sizes := views.dataset.shard_sizes)), sizes)[views.numbers]
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers that persist see it change

    @property
    def epoch(self) -> int:
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """The order of the next iterators. Workers that are kept between epochs hear of it too."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        """Samples of an epoch on this rank."""
        total = len(self.views)
        if self.equal_ranks:
            return total // self.world_size
        return len(range(self.rank, total, self.world_size))

    def __iter__(self) -> EpochIterator:
        return EpochIterator(self, self.epoch)

    def order(self, epoch: int) -> np.ndarray:
        """[V] int64: indices into `views` in the order of an epoch, over all ranks."""
        index = np.arange(len(self.views))
        if not self.shuffle:
            return index
        place = np.argsort(np.argsort(random_keys(np.arange(self._shard_V[-1] + 1), self.seed, epoch, _SHARD)))
        together = place[self._shard_V] // self.shards_together
        return np.lexsort((random_keys(index, self.seed, epoch, _VIEW), together))

    def share(self, epoch: int, worker: int, workers: int) -> np.ndarray:
        """The part of an epoch's order that falls to a worker of this rank: every so many-th batch."""
        of_rank = self.order(epoch)[self.rank :: self.world_size][: len(self)]
        return of_rank[np.arange(len(of_rank)) // self.batch_size % workers == worker]

    def load(self, index: int, epoch: int) -> Any:
        """The sample of an index into `views`, after its transform, which draws the same numbers in every process."""
        sample, transform = self.views.sample(index), self.views.transform
        if transform is None:
            return sample
        (key,) = random_keys(np.array([index]), self.seed, epoch, _TRANSFORM)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(key) >> 1)
            return transform(sample)


class EpochIterator(Iterator[Any]):
    """One epoch, as this process (a worker, or the only one) sees it. Its state is the epoch and a position in it."""

    def __init__(self, source: IterableViewDataset, epoch: int) -> None:
        worker = get_worker_info()
        self._source = source
        self._worker, self._workers = (worker.id, worker.num_workers) if worker else (0, 1)
        self._go_to(epoch, 0)

    def __next__(self) -> Any:
        if self._position == len(self._share):
            raise StopIteration
        index = int(self._share[self._position])
        self._position += 1
        return self._source.load(index, self._epoch)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch, "position": self._position, "order_of": self._order_of()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the state was taken. Raises ValueError if it was taken from another order of views."""
        if state["order_of"] != self._order_of():
            raise ValueError(
                f"this state was saved with {state['order_of']}, and here is {self._order_of()}: "
                "resume with the same data, filters, seed, ranks, workers and batch size"
            )
        self._go_to(state["epoch"], state["position"])

    def _go_to(self, epoch: int, position: int) -> None:
        self._epoch, self._position = epoch, position
        self._share = self._source.share(epoch, self._worker, self._workers)

    def _order_of(self) -> dict[str, int | bool]:
        """What decides the order, but the epoch."""
        names = ("seed", "shuffle", "rank", "world_size", "equal_ranks", "batch_size", "shards_together")
        own: dict[str, int | bool] = {name: getattr(self._source, name) for name in names}
        return {"views": len(self._source.views), **own, "workers": self._workers}
