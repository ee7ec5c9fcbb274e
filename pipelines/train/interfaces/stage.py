"""The seam between the training loop and what is trained.

The loop knows order, workers, devices, precision, gradients, checkpoints and logs; a stage knows its samples, its
networks and its losses. Neither knows the other beyond this file and `loading.py`.

Shapes: B samples of a micro-batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from pipelines.train.interfaces.loading import Batch, SampleSource, Split


@dataclass(frozen=True)
class LoopRecipe:
    """The part of a stage's recipe that the loop reads.

    steps: optimiser steps. batch_size: samples of a step, over all ranks together.
    learning_rate: of AdamW; constant after `warmup_steps` of linear growth.
    micro_batch_tokens: as in LoaderOptions; does not influence the result.
    ema_decay: d of the exponential moving average of the weights; at first min(d, (1 + step) / (10 + step)).
    clip_norm: largest norm of the gradient. clip_quantile: after clip_window steps the limit is also this quantile of
    the norms of the last clip_window steps; None for the fixed limit alone.
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
    """What a training module returns for a micro-batch.

    loss_B: what is minimised, per sample.
    weight_B: a sample's weight in the step (1, or its number of voxels). The loop minimises
    sum(loss * weight) / sum(weight) over the whole global batch, so that the result does not depend on how samples
    are spread over ranks and micro-batches.
    terms: named parts [B] of the loss, for the log.
    time_B: t of each sample in [0, 1], for the log per bin of t; None for stages without a time.
    """

    loss_B: Tensor
    weight_B: Tensor
    terms: Mapping[str, Tensor] = field(default_factory=dict)
    time_B: Tensor | None = None


class TrainingModule(nn.Module):
    """Networks and loss of a stage as one module, so that DDP and FSDP see one forward pass.

    `forward(batch) -> Losses`. Registered submodules are trained. Frozen networks must not be registered (keep them
    in a plain tuple): they are not wrapped, saved or given to the optimiser.
    """

    def frozen(self) -> Iterable[nn.Module]:
        """Networks that are used and not trained; the loop moves them to its device."""
        return ()

    def blocks(self) -> Iterable[nn.Module]:
        """Repeated blocks, for torch.compile and FSDP."""
        return ()


class Stage(Protocol):
    """One training stage. Sizes of networks and initial weights are decided before it is made."""

    name: str
    recipe: LoopRecipe

    def source(self, split: Split) -> SampleSource[Any]: ...

    def module(self) -> TrainingModule:
        """The one training module of this stage, on the CPU, with its initial weights."""
        ...

    def networks(self) -> Mapping[str, nn.Module]:
        """Trained networks, which are parts of `module()`, by the name of their checkpoint.

        The loop writes them in the official layout (`models.checkpoints.write_network`), raw and averaged (EMA).
        """
        ...

    def measure(self, module: TrainingModule, batches: Iterable[Batch]) -> Mapping[str, Sequence[float]]:
        """The stage's own measures on validation batches (voxel IoU, PSNR, ...), beside the validation loss.

        By name a value for every sample that it applies to, not their mean: the loop averages over all ranks.
        """
        ...

    def facts(self, module: TrainingModule, batches: Iterable[Batch]) -> dict[str, Any]:
        """What is measured once, on training samples with the final weights, and stored beside them as JSON.

        For example mean and standard deviation of latents; {} for most stages. `batches` is endless.
        """
        ...

    def snapshot(self, module: TrainingModule, batch: Batch, folder: Path) -> list[Path]:
        """Write pictures of samples into a folder as PNG files, and return their paths."""
        ...

    def describe(self) -> dict[str, Any]:
        """What decides the result, as JSON: sizes, recipe, data (with a digest of it), weights of former stages.

        Resuming with another description is refused, and the differences are shown.
        """
        ...
