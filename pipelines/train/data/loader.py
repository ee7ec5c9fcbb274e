"""Samples to the training process: made in order by worker processes, the same for any number of them.

The training process decides what is made (order.py, plan.py) and hands out micro-batches as tasks; a worker makes one
whole and sends it back stacked. Nothing depends on which worker makes what.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import DataLoader, Dataset

from pipelines.errors import PipelineError
from pipelines.train.data.bad_rows import BadRowPolicy, Trouble, TroubleBook, load_or_replace
from pipelines.train.data.order import Grouped, SampleOrder
from pipelines.train.data.plan import micro_batches, plan_step
from pipelines.train.stage import Batch, LoaderOptions, SampleSource

_TASKS_AHEAD = 2  # of each worker
_DEFAULT_POLICY = BadRowPolicy()


@dataclass(frozen=True)
class Task:
    """One micro-batch to make. last: of its step."""

    index_B: tuple[int, ...]
    epoch_B: tuple[int, ...]
    last: bool = True


@dataclass(frozen=True)
class Made:
    """A made micro-batch with the troubles on the way, or the error that ends training."""

    batch: Batch | None
    samples: int
    troubles: tuple[Trouble, ...] = ()
    last: bool = True
    error: PipelineError | None = None

    def pin_memory(self) -> Made:
        return self if self.batch is None else replace(self, batch=self.batch.pin_memory())


def training_batches(
    source: SampleSource[Any], options: LoaderOptions, first_step: int
) -> Generator[Sequence[Batch], None, None]:
    """This rank's micro-batches of every step from `first_step`, without end; see `stage.Loader`.

    Close it to end its workers.
    Raises BadRowError and PipelineError by the policy of the source.
    """
    book = TroubleBook(_policy(source))
    step: list[Batch] = []
    with _made(source, _tasks(source, options, first_step), options) as all_made:
        for made in all_made:
            step.append(_checked(made, book))
            if made.last:
                yield step
                step = []


def fixed_batches(source: SampleSource[Any], indices: Sequence[int], options: LoaderOptions) -> Iterator[Batch]:
    """These samples of epoch 0, in order and within the token budget; see `stage.Loader`."""
    book = TroubleBook(_policy(source))
    chosen = np.asarray(indices, np.int64)
    cut = micro_batches(source.costs()[chosen], options.micro_batch_tokens)
    tasks = [Task(tuple(chosen[list(micro)].tolist()), (0,) * len(micro)) for micro in cut]
    with _made(source, tasks, options) as all_made:
        for made in all_made:
            yield _checked(made, book)


def _tasks(source: SampleSource[Any], options: LoaderOptions, first_step: int) -> Iterator[Task]:
    """This rank's micro-batches, step by step. Every rank makes the same plan."""
    order = SampleOrder.of(source, options.seed)
    cost_L, step = source.costs(), first_step
    group_L = source.groups() if isinstance(source, Grouped) else np.arange(len(source))
    while True:
        picks = order.step(step, options.batch_size)
        cost_B, group_B = cost_L[picks.index_B], group_L[picks.index_B]
        plan = plan_step(cost_B, group_B, options.world_size, options.micro_batch_tokens)[options.rank]
        for number, micro in enumerate(plan):
            chosen = list(micro)
            index_B, epoch_B = picks.index_B[chosen].tolist(), picks.visit_B[chosen].tolist()
            yield Task(tuple(index_B), tuple(epoch_B), last=number == len(plan) - 1)
        step += 1


@contextmanager
def _made(source: SampleSource[Any], tasks: Iterable[Task], options: LoaderOptions) -> Iterator[Iterator[Made]]:
    maker = _Maker(source, options.seed, _policy(source))
    if options.workers == 0:
        made = map(maker.__getitem__, tasks)
        yield map(Made.pin_memory, made) if options.pin_memory else made
        return
    loader = DataLoader(
        maker,
        batch_size=None,
        sampler=tasks,
        num_workers=options.workers,
        collate_fn=_as_it_is,
        pin_memory=options.pin_memory,
        prefetch_factor=_TASKS_AHEAD,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # a loader draws a seed for its workers; not from the training's own
    )
    before = set(multiprocessing.active_children())
    all_made = iter(loader)
    workers = set(multiprocessing.active_children()) - before
    try:
        yield all_made
    finally:
        _end(all_made, workers)


def _end(all_made: Any, workers: Iterable[BaseProcess]) -> None:
    """Every worker has ended after it.

    torch's iterator ends its workers when it is forgotten, which a reference somewhere can put off until the
    interpreter exits. That then sends SIGTERM, which workers ignore (`_start_worker`), and waits for ever.
    """
    all_made._shutdown_workers()  # there is no public name for it
    for worker in workers:
        worker.kill()
        worker.join()


class _Maker(Dataset[Made]):
    """Makes tasks, in the training process or in a worker."""

    def __init__(self, source: SampleSource[Any], seed: int, policy: BadRowPolicy) -> None:
        self._source, self._seed, self._policy = source, seed, policy

    @torch.autocast("cpu", enabled=False)  # whoever asks may be computing in half precision; stored halves are not that
    def __getitem__(self, task: Task) -> Made:
        pairs = zip(task.index_B, task.epoch_B, strict=True)
        try:
            loaded = [self._load(*pair) for pair in pairs]
        except PipelineError as error:  # as a value: an exception that crosses processes loses its type and its words
            return Made(None, 0, error=error)
        batch = self._source.collate([sample for sample, _ in loaded])
        troubles = tuple(trouble for _, trouble in loaded if trouble != Trouble())
        return Made(batch, len(loaded), troubles, task.last)

    def _load(self, index: int, epoch: int) -> tuple[Any, Trouble]:
        try:
            return load_or_replace(self._source, index, epoch, self._seed, self._policy)
        except Exception as error:
            error.add_note(f"while making sample {index} of epoch {epoch} of {type(self._source).__name__}")
            raise


def _checked(made: Made, book: TroubleBook) -> Batch:
    if made.error is not None:
        raise made.error
    assert made.batch is not None
    book.add(made.samples, made.troubles)
    return made.batch


def _policy(source: SampleSource[Any]) -> BadRowPolicy:
    return getattr(source, "policy", _DEFAULT_POLICY)


def _as_it_is(made: Any) -> Any:
    return made


def _start_worker(number: int) -> None:
    """One thread a worker; signals are for the training process, which saves while its workers still work."""
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(ignored, signal.SIG_IGN)
