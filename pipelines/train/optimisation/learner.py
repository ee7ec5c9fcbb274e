"""One optimiser step, and everything that it changes: weights, optimiser state, EMA, history of gradient norms.

Nothing in a step waits for the device. Its report stays there until the log fetches it (metrics.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.train.interfaces.loading import Batch
from pipelines.train.interfaces.stage import LoopRecipe, TrainingModule
from pipelines.train.optimisation.distributed import Ranks
from pipelines.train.optimisation.ema import Ema
from pipelines.train.optimisation.metrics import StepReport, loss_names, weighted_sums
from pipelines.train.optimisation.optimiser import AdamW, AdamWState, AdaptiveClip
from pipelines.train.optimisation.parallel import Parallel


@dataclass(frozen=True)
class LearnerState:
    """Everything but the weights that the next step depends on, as whole tensors on the CPU.

    average (EMA), momentum, variance: by name of the parameter, as `Parallel.gathered` gives them.
    scalars: "updates", "clip_norms" [window], "clip_count", "skipped_in_a_row".
    """

    average: Mapping[str, Tensor]
    momentum: Mapping[str, Tensor]
    variance: Mapping[str, Tensor]
    scalars: Mapping[str, Tensor]


class Learner:
    """Trains a module, wrapped for its ranks, by a recipe."""

    def __init__(self, parallel: Parallel, recipe: LoopRecipe, ranks: Ranks, precision: torch.dtype) -> None:
        self.parallel, self._ranks, self._precision = parallel, ranks, precision
        self._rule = AdamW(recipe.learning_rate, recipe.betas, recipe.weight_decay, recipe.warmup_steps)
        self._state = AdamWState.zeros(parallel.weights())
        self._clip = AdaptiveClip(recipe.clip_norm, recipe.clip_quantile, recipe.clip_window, ranks.device)
        self._skipped = torch.zeros((), device=ranks.device)
        self.ema = Ema(parallel.weights(), recipe.ema_decay)

    def autocast(self) -> AbstractContextManager[None]:
        """The context of forward passes, in the chosen precision; weights stay float32."""
        return torch.autocast(self._ranks.device.type, self._precision, enabled=self._precision != torch.float32)

    def step(self, step: int, micro_batches: Sequence[Batch]) -> StepReport:
        """One optimiser step on this rank's share of the global batch."""
        names, sums = self._gradients(micro_batches)
        sums = self._ranks.sum(sums)
        return StepReport(step, names, sums, self._update(step, weight=sums[0], loss=sums[1]))

    def _gradients(self, micro_batches: Sequence[Batch]) -> tuple[tuple[str, ...], Tensor]:
        """Backpropagate the weighted sum of losses; returns the names and sums of what is logged.

        The gradients, averaged over ranks, are left in the module.
        """
        names: tuple[str, ...] = ()
        sums: list[Tensor] = []
        for index, batch in enumerate(micro_batches):
            batch = batch.to(self._ranks.device, non_blocking=True)
            with self.parallel.accumulating(last=index == len(micro_batches) - 1):
                with self.autocast():
                    losses = self.parallel.forward(batch)
                    objective = (losses.loss_B.float() * losses.weight_B.float()).sum()
                objective.backward()
            names = loss_names(losses)
            sums.append(weighted_sums(losses))
        return names, torch.stack(sums).sum(0)

    @torch.no_grad()
    def _update(self, step: int, weight: Tensor, loss: Tensor) -> Tensor:
        """Clip and apply the gradients; returns `StepReport.gradient`.

        weight, loss: scalars, summed over the global batch. Dividing by the weight turns the summed gradient into that
        of the weighted mean.
        """
        weights, gradients = self.parallel.weights(), self.parallel.gradients()
        to_mean = (self._ranks.world_size / weight).float()
        norm = self.parallel.norm(gradients) * to_mean
        finite = norm.isfinite() & loss.isfinite()
        limit = self._clip.limit()
        self._rule.update(
            step, weights, gradients, self._state, to_mean * (limit / (norm + 1e-6)).clamp(max=1.0), finite
        )
        self._clip.record(norm, finite)
        self._skipped = torch.where(finite, 0.0, self._skipped + 1)
        self.ema.update(weights, step)
        self.parallel.drop_gradients()
        return torch.stack([norm, limit, self._skipped])

    @contextmanager
    def averaged(self) -> Iterator[TrainingModule]:
        """The module with its averaged weights, whole on every rank; in eval mode, without gradients, autocast."""
        with (
            self.ema.in_place_of(self.parallel.weights()),
            self.parallel.whole() as module,
            torch.no_grad(),
            self.autocast(),
        ):
            yield module

    def state(self) -> LearnerState:
        """Called by all ranks. Only on rank 0 it holds the tensors by parameter; elsewhere these mappings are empty."""
        gathered = self.parallel.gathered
        return LearnerState(
            average=gathered(self.ema.averages),
            momentum=gathered(self._state.momentum),
            variance=gathered(self._state.variance),
            scalars={
                "updates": self._state.updates[0].cpu(),
                "clip_norms": self._clip.norms.cpu(),
                "clip_count": self._clip.count.cpu(),
                "skipped_in_a_row": self._skipped.cpu(),
            },
        )

    def restore(self, state: LearnerState) -> None:
        """Resume from a state that every rank has read; the module holds the weights already."""
        device, scalars = self._ranks.device, state.scalars
        self._state = AdamWState.restored(
            self.parallel.parts(state.momentum), self.parallel.parts(state.variance), scalars["updates"].item()
        )
        self.ema.averages = self.parallel.parts(state.average)
        self._clip.norms, self._clip.count = scalars["clip_norms"].to(device), scalars["clip_count"].to(device)
        self._skipped = scalars["skipped_in_a_row"].to(device)
