"""The seam between the training loop and what is trained.

The loop knows order, workers, devices, precision, gradients, checkpoints and logs; a stage knows its samples, its
networks and its losses. Neither knows the other beyond this file.

Shapes: B samples of a micro-batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

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

    def source(self, split: Split) -> SampleSource[Any]: ...

    def module(self) -> TrainingModule:
        """The one training module of this stage, on the CPU, with its initial weights."""
        ...

    def networks(self) -> Mapping[str, nn.Module]:
        """Trained networks by the name of their checkpoint; they are parts of `module()`.

        Written in the official layout (`models.checkpoints.write_network`), raw and EMA.
        """
        ...

    def measure(self, module: TrainingModule, batches: Iterable[Batch]) -> dict[str, float]:
        """The stage's own measures on validation batches (voxel IoU, PSNR, ...), beside the validation loss."""
        ...

    def snapshot(self, module: TrainingModule, batch: Batch, folder: Path) -> list[Path]:
        """Pictures of samples, as PNG files in a folder."""
        ...

    def describe(self) -> dict[str, Any]:
        """What decides the result, for the digest and the difference that is shown: recipe, data, weights."""
        ...


StageT = TypeVar("StageT", bound=Stage)


@dataclass(frozen=True)
class StageResult(Generic[StageT]):
    """A trained stage: where its final networks are, by name, in the official layout."""

    stage: str
    networks: Mapping[str, Path]
