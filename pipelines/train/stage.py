"""The seam between the training loop and what is trained.

The loop knows order, workers, devices, precision, gradients, checkpoints and logs; a stage knows its samples, its
networks and its losses. Neither knows the other beyond this file.

Shapes: B samples of a micro-batch.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

Split = Literal["train", "val"]
SampleT = TypeVar("SampleT", covariant=True)


class Batch(Protocol):
    """Samples stacked by a source, ready for a training module."""

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch: ...

    def pin_memory(self) -> Batch: ...


class SampleSource(Protocol[SampleT]):
    """Samples by number. Picklable: it goes to the data workers, where `load` and `collate` run.

    Raises BadRowError (pipelines/train/data/errors.py) for a sample that cannot be made from its row.
    """

    def __len__(self) -> int: ...

    def costs(self) -> np.ndarray:
        """[len] float64, known without loading: what a sample costs to compute, in tokens. Balances ranks."""
        ...

    def load(self, index: int, epoch: int) -> SampleT:
        """Sample `index`, with everything random about it a function of (seed, epoch, index)."""
        ...

    def collate(self, samples: Sequence[Any]) -> Batch: ...


@runtime_checkable
class NamesAssets(Protocol):
    """A source that can say whose shapes its samples are, for the record of what a run has seen."""

    def asset_uids(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class LoaderOptions:
    """How batches are made. Which samples a step has depends on `seed` and `batch_size` alone.

    batch_size: samples of a step, of all ranks together. micro_batch_tokens: the most that one forward pass may hold,
    in the unit of `SampleSource.costs` (a single sample may exceed it). workers: loading processes of this rank; 0
    loads in the training process.
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

        Every rank gets the same number of them, at least one each: FSDP gathers weights in step. Closing it ends its
        workers; left to the garbage collector, they may outlive the process.
        """
        ...

    def fixed_batches(
        self, source: SampleSource[Any], indices: Sequence[int], options: LoaderOptions
    ) -> Iterator[Batch]:
        """These samples of epoch 0, in order and within the token budget; rank and batch_size are not looked at."""
        ...


@dataclass(frozen=True)
class LoopRecipe:
    """What the loop reads of a stage's recipe.

    steps: optimiser steps. batch_size: samples of a step, of all ranks together. AdamW has no schedule but
    `warmup_steps` of linear growth. ema_decay: d of the moving average, min(d, (1 + step) / (10 + step)) at first.
    clip_norm: largest norm of the gradient; after clip_window steps also its clip_quantile over the last of them
    (None: never). micro_batch_tokens: as in LoaderOptions; this one does not decide the result.
    """

    steps: int
    batch_size: int
    learning_rate: float
    micro_batch_tokens: float
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    warmup_steps: int = 0
    ema_decay: float = 0.9999
    clip_norm: float = 1.0
    clip_quantile: float | None = 0.95
    clip_window: int = 1000


@dataclass(frozen=True)
class Losses:
    """What a module says of a micro-batch.

    loss_B: what is minimised, per sample. weight_B: a sample's share of the step (1, or its number of voxels);
    the loop minimises sum(loss * weight) / sum(weight) over the whole global batch, so that the result does not depend
    on how samples are spread over ranks and micro-batches.
    terms: named parts [B] for the log. time_B: t of each sample for the log per bin of t; None without a time.
    """

    loss_B: Tensor
    weight_B: Tensor
    terms: Mapping[str, Tensor] = field(default_factory=dict)
    time_B: Tensor | None = None


class TrainingModule(nn.Module):
    """Networks and loss of a stage as one module, so that DDP and FSDP see one forward pass.

    `forward(batch) -> Losses`. Registered submodules are what is trained. Frozen networks must not be registered
    (keep them in a plain tuple): they are not wrapped, saved or given to the optimiser.
    """

    def frozen(self) -> Iterable[nn.Module]:
        """Networks that are used and not trained; the loop moves them to its device."""
        return ()

    def blocks(self) -> Iterable[nn.Module]:
        """Repeated blocks, for torch.compile and FSDP."""
        return ()


class Stage(Protocol):
    """One training stage. Everything that depends on the size of the networks or on weights is decided by then."""

    name: str
    recipe: LoopRecipe

    def source(self, split: Split) -> SampleSource[Any]: ...

    def module(self) -> TrainingModule:
        """The one training module of this stage, on the CPU, with its initial weights."""
        ...

    def networks(self) -> Mapping[str, nn.Module]:
        """Trained networks by the name of their checkpoint; they are parts of `module()`.

        Written in the official layout (`models.checkpoints.write_network`), raw and EMA.
        """
        ...

    def measure(self, module: TrainingModule, batches: Iterable[Batch]) -> Mapping[str, Sequence[float]]:
        """The stage's own measures on validation batches (voxel IoU, PSNR, ...), beside the validation loss.

        A value for every sample that a name applies to, not their mean: the loop averages over samples of all ranks.
        """
        ...

    def facts(self, module: TrainingModule, batches: Iterable[Batch]) -> dict[str, Any]:
        """What is measured once, on training samples with the final weights, and kept beside them as JSON.

        Mean and standard deviation of latents, for example; {} for most stages. `batches` is endless.
        """
        ...

    def snapshot(self, module: TrainingModule, batch: Batch, folder: Path) -> list[Path]:
        """Pictures of samples, as PNG files in a folder."""
        ...

    def describe(self) -> dict[str, Any]:
        """What decides the result, as JSON: sizes, recipe, data (with a digest of it), weights of former stages.

        Resuming with another description is refused, and the difference is shown.
        """
        ...


@dataclass(frozen=True)
class StageResult:
    """A trained stage: where its final networks (EMA) are, by name, in the official layout, and its `facts`."""

    stage: str
    networks: Mapping[str, Path]
    facts: Mapping[str, Any] = field(default_factory=dict)
