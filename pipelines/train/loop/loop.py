"""The training loop of one stage: steps, validation, checkpoints, result.

It writes into the folder of the stage (see pipelines/train/outputs):

    config.json, assets.json      record.py
    invocations.json              invocations.py
    metrics.jsonl, tensorboard/   metrics_log.py
    curves.png                    curves.py
    snapshots/step-00001000/      pictures of validation samples, drawn by the stage
    checkpoints/step-00001000/    checkpoints.py
    result/                       result.py; written when the stage is finished
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from models.execution import compile_blocks
from models.sparse.segments import resolve_kernel
from pipelines.atomic import make_writable
from pipelines.errors import Interrupted, PipelineError, UsageError
from pipelines.train.interfaces.loading import Batch, Loader
from pipelines.train.interfaces.stage import Stage
from pipelines.train.loop.options import LoopOptions, describe_run, loader_options
from pipelines.train.loop.stopping import StopAgreement, TimeLimit
from pipelines.train.loop.validation import Validation
from pipelines.train.optimisation.distributed import Ranks
from pipelines.train.optimisation.learner import Learner
from pipelines.train.optimisation.metrics import ReportQueue, StepMetrics
from pipelines.train.optimisation.parallel import Parallel
from pipelines.train.outputs.checkpoints import Checkpoints, Networks
from pipelines.train.outputs.curves import draw_curves
from pipelines.train.outputs.invocations import record_invocation
from pipelines.train.outputs.metrics_log import METRICS_FILE, MetricsLog, duration
from pipelines.train.outputs.record import write_record
from pipelines.train.outputs.result import StageResult, finished_stage, write_result

_DRAW_EVERY_S = 60.0


def train_stage(
    stage: Stage, loader: Loader, options: LoopOptions, ranks: Ranks, folder: Path, stop: threading.Event
) -> StageResult:
    """Train a stage to its last step or to the end of its time, from its newest checkpoint if it has one.

    Called by all ranks. folder: of the stage. stop: set to stop after the step at hand.
    Raises Interrupted, with everything saved, when `stop` was set on any rank; UsageError if the folder holds another
    run; PipelineError if too many steps in a row are not finite or a file cannot be written.
    """
    if stage.recipe.batch_size < ranks.world_size:
        raise UsageError(
            f"a batch of {stage.recipe.batch_size} cannot be shared by {ranks.world_size} processes; "
            "give a larger --batch-size, or start fewer"
        )
    if ranks.is_main:
        make_writable(folder)
    description = describe_run(stage, options)
    enough = stage.recipe.steps if options.seconds is None else 1  # a stage that time ended is finished, too
    done = finished_stage(folder, description, enough)
    if done is None:
        return StageTraining(stage, loader, options, ranks, folder, description).run(stop)
    if ranks.is_main:
        sys.stderr.write(f"{stage.name}: finished before, see {folder}\n")
    return done


class StageTraining:
    """One stage while it is trained, on this rank."""

    def __init__(
        self,
        stage: Stage,
        loader: Loader,
        options: LoopOptions,
        ranks: Ranks,
        folder: Path,
        description: Mapping[str, Any],
    ) -> None:
        self._stage, self._loader, self._options, self._ranks = stage, loader, options, ranks
        self._folder, self._description, self._recipe = folder, description, stage.recipe
        self._every = options.every or min(1000, max(10, self._recipe.steps // 10))
        self._batch_options = loader_options(self._recipe, options, ranks)
        self._validation = Validation(stage, loader, self._batch_options, options.validation_samples, ranks)
        self._checkpoints = Checkpoints(folder / "checkpoints", description, options.retention)
        self._networks = Networks.of(stage.module(), stage.networks())
        self._first_step, self._learner = self._start()
        self._log: MetricsLog | None = None
        self._drawn_at = time.monotonic()
        if ranks.is_main:
            write_record(folder, stage, description)
            record_invocation(folder, options.command, options.data, self._first_step, ranks)
            wandb = None if options.wandb is None else (options.wandb, description)
            steps = self._first_step, self._recipe.steps
            self._log = MetricsLog(folder, stage.name, *steps, options.seconds, wandb=wandb)

    def run(self, stop: threading.Event) -> StageResult:
        """Train the remaining steps and write the result."""
        try:
            self._announce()
            source = self._stage.source("train")
            with closing(self._loader.training_batches(source, self._batch_options, self._first_step)) as batches:
                reached = self._train(batches, stop)
            return self._finish(reached)
        finally:
            if self._log:
                self._log.close(failed=sys.exc_info()[0] not in (None, Interrupted))

    def _start(self) -> tuple[int, Learner]:
        """Steps that the checkpoint to resume from has done (0 without one), and the learner in its state."""
        checkpoint = self._checkpoint()
        first_step = self._checkpoints.step_of(checkpoint) if checkpoint else 0
        if checkpoint:
            self._networks.load(checkpoint / "networks")
        learner = Learner(self._parallel(), self._recipe, self._ranks, self._options.precision)
        if checkpoint:
            learner.restore(self._checkpoints.state(checkpoint, self._networks))
        return first_step, learner

    def _checkpoint(self) -> Path | None:
        """The checkpoint to resume from, as rank 0 sees it."""
        newest: Path | None = self._ranks.from_main(self._checkpoints.newest())
        if self._options.resume == "never" and newest:
            raise UsageError(f"--resume never, but {newest} is there; choose another --run-dir, or leave --resume out")
        return newest if self._options.resume in ("auto", "never") else Path(self._options.resume)

    def _parallel(self) -> Parallel:
        module = self._stage.module()
        for network in (module, *module.frozen()):
            network.to(self._ranks.device)
        module.train()
        if self._options.compile_blocks:
            torch.compiler.reset()  # the graphs of a former stage
            varlen = resolve_kernel("auto", self._ranks.device, self._options.precision) == "varlen"
            for network in (module, *module.frozen()):
                compile_blocks(network, ragged=varlen)
        return Parallel(module, self._ranks, self._options.strategy)

    def _train(self, batches: Iterator[Sequence[Batch]], stop: threading.Event) -> int:
        """Take steps until the recipe's last one or the end of the time; returns the number of steps done."""
        agreement, queue, clock = StopAgreement(self._ranks), ReportQueue(self._ranks.device), _Clock()
        time_limit = TimeLimit(self._options.seconds, self._ranks)
        done = self._first_step
        for done in range(self._first_step + 1, self._recipe.steps + 1):
            queue.put(self._learner.step(done - 1, clock.next_of(batches)))
            last = done == self._recipe.steps or time_limit.is_over()
            asked = agreement.any_asked(stop.is_set()) and not last
            due = asked or last or done % self._every == 0
            if due or done % self._options.log_every == 0:
                self._log_steps(queue.take(wait=due), clock)
            if due:
                saved = self._save(done)
                if asked:
                    raise Interrupted(f"stopped after step {done}, saved {saved}; run the same command again to go on")
                self._validate(done, draw=last)
                clock.restart()
            if last:
                break
        return done

    def _log_steps(self, steps: Sequence[StepMetrics], clock: _Clock) -> None:
        """Log steps that the device has finished. Raises PipelineError if too many in a row were skipped."""
        if self._log and steps:
            self._log.train(steps, **clock.rates(len(steps), self._recipe.batch_size))
        if steps and steps[-1].skipped_in_a_row >= self._options.max_skipped:
            raise PipelineError(self._not_finite(steps[-1]))

    def _save(self, done: int) -> Path | None:
        """Save a checkpoint. Called by all ranks; rank 0 writes, and the others do not wait for it."""
        parallel = self._learner.parallel
        weights, state = parallel.gathered(parallel.weights()), self._learner.state()
        return self._checkpoints.save(done, self._networks, weights, state) if self._ranks.is_main else None

    def _validate(self, done: int, draw: bool) -> None:
        measured = self._validation.run(self._learner) if len(self._validation) else {}
        pictures = self._validation.snapshot(self._learner, self._folder / "snapshots" / f"step-{done:08d}")
        if not self._log:
            return
        if measured:
            self._log.validation(done, measured)
            self._log.pictures(done, pictures)
        if draw or time.monotonic() - self._drawn_at > _DRAW_EVERY_S:
            draw_curves(self._folder / METRICS_FILE, self._folder / "curves.png", self._stage.name)
            self._drawn_at = time.monotonic()

    def _finish(self, steps: int) -> StageResult:
        """Measure the facts and write the result, which is of `steps` steps."""
        learner = self._learner
        averages = learner.parallel.gathered(learner.ema.averages)
        with learner.averaged() as module, closing(self._fact_batches()) as batches:
            facts = self._stage.facts(module, batches) if self._ranks.is_main else {}
        if self._ranks.is_main:
            write_result(self._folder, self._stage.name, steps, self._networks, averages, facts, self._description)
        self._ranks.gather(None)  # a barrier: no rank looks for the result before it is written
        result = finished_stage(self._folder, self._description, steps)
        if result is None:
            raise PipelineError(f"rank {self._ranks.rank} does not see {self._folder}; all ranks need one file system")
        if self._log:
            self._log.say(f"{self._stage.name}: finished, see {self._folder}")
        return result

    def _fact_batches(self) -> Generator[Batch, None, None]:
        """All ranks' training samples, from the first step on and without end."""
        alone = loader_options(self._recipe, self._options, Ranks(0, 1, self._ranks.device))
        with closing(self._loader.training_batches(self._stage.source("train"), alone, 0)) as steps:
            for micro_batches in steps:
                for batch in micro_batches:
                    yield batch.to(self._ranks.device, non_blocking=True)

    def _announce(self) -> None:
        if not self._log:
            return
        recipe, name = self._recipe, self._stage.name
        millions = sum(parameter.numel() for parameter in self._learner.parallel.module.parameters()) / 1e6
        resuming = f", going on from step {self._first_step}" if self._first_step else ""
        limit = f", for {duration(self._options.seconds)}" if self._options.seconds is not None else ""
        self._log.say(
            f"{name}: {recipe.steps} steps of batch {recipe.batch_size}, {millions:.3g} M parameters, "
            f"{self._ranks.world_size} x {self._ranks.device.type}{resuming}{limit}"
        )
        if not len(self._validation):
            self._log.say(f"{name}: no held-out asset fits this stage, so nothing is validated")

    def _not_finite(self, last: StepMetrics) -> str:
        losses = ", ".join(f"{name} {value:.4g}" for name, value in last.losses.items() if "_t" not in name)
        return (
            f"{self._stage.name}: the gradient of {last.skipped_in_a_row} steps in a row was not finite, the last of "
            f"them step {last.step} ({losses}). If the loss is not finite, look at the data (--dry-run shows a batch) "
            "and try --precision fp32; if it is, lower the learning rate. "
            f"Newest checkpoint: {self._checkpoints.newest() or 'none'}"
        )


class _Clock:
    """The speed of some steps, and the share of their time that was spent waiting for data."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self._since, self._waited_s = time.monotonic(), 0.0

    def next_of(self, batches: Iterator[Sequence[Batch]]) -> Sequence[Batch]:
        """The micro-batches of the next step; the time that this takes counts as waiting."""
        before = time.monotonic()
        micro_batches = next(batches)
        self._waited_s += time.monotonic() - before
        return micro_batches

    def rates(self, steps: int, batch_size: int) -> dict[str, float]:
        """Samples a second, and the share (0 to 1) of waiting, since the last restart; restarts the clock."""
        elapsed = max(time.monotonic() - self._since, 1e-9)
        rates = {"samples_per_s": steps * batch_size / elapsed, "data_wait": self._waited_s / elapsed}
        self.restart()
        return rates
