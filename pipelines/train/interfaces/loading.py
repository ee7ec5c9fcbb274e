"""The seam between the training loop and the data: samples, batches, and the loader that makes them.

The data path knows how a sample is read; the loop knows which step it is at. Neither knows the other beyond this file.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch

Split = Literal["train", "val"]
SampleT = TypeVar("SampleT", covariant=True)


class Batch(Protocol):
    """Samples that their source has stacked, ready for a training module."""

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch: ...

    def pin_memory(self) -> Batch: ...


class SampleSource(Protocol[SampleT]):
    """Samples by number. Picklable, because `load` and `collate` run in the data workers."""

    def __len__(self) -> int: ...

    def costs(self) -> np.ndarray:
        """[len] float64: what each sample costs to compute, in tokens, known without loading it. Balances ranks."""
        ...

    def load(self, index: int, epoch: int) -> SampleT:
        """Sample `index`; everything random about it is a function of (seed, epoch, index).

        Raises BadRowError or Rejected (pipelines/train/data/errors.py) if its row gives no sample.
        """
        ...

    def collate(self, samples: Sequence[Any]) -> Batch: ...


@runtime_checkable
class NamesAssets(Protocol):
    """A source that can list the assets whose shapes its samples show, for the record of what a run has seen."""

    def asset_uids(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class LoaderOptions:
    """How batches are made. Which samples a step has depends on `seed` and `batch_size` alone.

    batch_size: samples of a step, over all ranks together.
    micro_batch_tokens: upper limit of one forward pass, in the unit of `SampleSource.costs`; a single sample may
    exceed it.
    workers: loading processes of this rank; with 0 the training process loads.
    """

    seed: int
    batch_size: int
    micro_batch_tokens: float
    rank: int = 0
    world_size: int = 1
    workers: int = 0
    pin_memory: bool = False


class Loader(Protocol):
    """What the loop needs of pipelines/train/data/loader.py."""

    def training_batches(
        self, source: SampleSource[Any], options: LoaderOptions, first_step: int
    ) -> Generator[Sequence[Batch], None, None]:
        """This rank's micro-batches of every step from `first_step` (0 is the first), without end.

        Every rank gets the same number of them, at least one each, because FSDP gathers weights in step. Close the
        generator to end its workers; left to the garbage collector, they may outlive the process.
        """
        ...

    def fixed_batches(
        self, source: SampleSource[Any], indices: Sequence[int], options: LoaderOptions
    ) -> Iterator[Batch]:
        """These samples of epoch 0, in order and within the token budget; `rank` and `batch_size` are ignored."""
        ...
