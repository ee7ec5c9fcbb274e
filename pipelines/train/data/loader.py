"""The data loader: worker processes make the micro-batches, which are the same for any number of workers.

The training process decides which samples a micro-batch has (order.py, plan.py) and hands it out as a task; a worker
loads its samples and sends them back stacked. Nothing depends on which worker does what.
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
from pipelines.train.data.bad_samples import BadRowPolicy, ProblemCounts, SampleProblems, load_or_replace
from pipelines.train.data.order import Grouped, SampleOrder
from pipelines.train.data.plan import micro_batches, plan_step
from pipelines.train.interfaces.loading import Batch, LoaderOptions, SampleSource

_TASKS_AHEAD = 2  # per worker
_DEFAULT_POLICY = BadRowPolicy()


@dataclass(frozen=True)
class Task:
    """One micro-batch to make: numbers and epochs of its B samples. last: whether it is the last of its step."""

    index_B: tuple[int, ...]
    epoch_B: tuple[int, ...]
    last: bool = True


@dataclass(frozen=True)
class LoadedBatch:
    """A micro-batch and the problems with its samples, or the error that ends training.

    samples: their number. last: as in Task.
    """

    batch: Batch | None
    samples: int
    problems: tuple[SampleProblems, ...] = ()
    last: bool = True
    error: PipelineError | None = None

    def pin_memory(self) -> LoadedBatch:
        return self if self.batch is None else replace(self, batch=self.batch.pin_memory())


def training_batches(
    source: SampleSource[Any], options: LoaderOptions, first_step: int
) -> Generator[Sequence[Batch], None, None]:
    """This rank's micro-batches of every step from `first_step`, without end; see `interfaces.loading.Loader`.

    Close it to end its workers. Raises BadRowError or PipelineError, by the source's policy on bad rows.
    """
    counts = ProblemCounts(_policy(source))
    step: list[Batch] = []
    with _loaded(source, _tasks(source, options, first_step), options) as batches:
        for loaded in batches:
            step.append(_checked(loaded, counts))
            if loaded.last:
                yield step
                step = []


def fixed_batches(source: SampleSource[Any], indices: Sequence[int], options: LoaderOptions) -> Iterator[Batch]:
    """These samples of epoch 0, in order and within the token budget; see `interfaces.loading.Loader`."""
    counts = ProblemCounts(_policy(source))
    chosen = np.asarray(indices, np.int64)
    cut = micro_batches(source.costs()[chosen], options.micro_batch_tokens)
    tasks = [Task(tuple(chosen[list(micro)].tolist()), (0,) * len(micro)) for micro in cut]
    with _loaded(source, tasks, options) as batches:
        for loaded in batches:
            yield _checked(loaded, counts)


def _tasks(source: SampleSource[Any], options: LoaderOptions, first_step: int) -> Iterator[Task]:
    """This rank's micro-batches, step by step. All ranks make the same plan, and each takes its part of it."""
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
def _loaded(
    source: SampleSource[Any], tasks: Iterable[Task], options: LoaderOptions
) -> Iterator[Iterator[LoadedBatch]]:
    """The tasks' micro-batches, made by workers, or here without workers. The workers end with the context."""
    maker = _BatchMaker(source, options.seed, _policy(source))
    if options.workers == 0:
        batches = map(maker.__getitem__, tasks)
        yield map(LoadedBatch.pin_memory, batches) if options.pin_memory else batches
        return
    loader = DataLoader(
        maker,
        batch_size=None,
        sampler=tasks,
        num_workers=options.workers,
        collate_fn=_unchanged,
        pin_memory=options.pin_memory,
        prefetch_factor=_TASKS_AHEAD,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # torch draws a seed for the workers; not from the generator of training
    )
    before = set(multiprocessing.active_children())
    iterator = iter(loader)
    workers = set(multiprocessing.active_children()) - before
    try:
        yield iterator
    finally:
        _end(iterator, workers)


def _end(iterator: Any, workers: Iterable[BaseProcess]) -> None:
    """End all workers before returning.

    torch's iterator ends its workers when it is garbage-collected, which any reference can delay until the interpreter
    exits. The exit then sends SIGTERM, which workers ignore (`_start_worker`), and waits for ever.
    """
    iterator._shutdown_workers()  # there is no public name for it
    for worker in workers:
        worker.kill()
        worker.join()


class _BatchMaker(Dataset[LoadedBatch]):
    """Makes the micro-batches of tasks, in the training process or in a worker."""

    def __init__(self, source: SampleSource[Any], seed: int, policy: BadRowPolicy) -> None:
        self._source, self._seed, self._policy = source, seed, policy

    @torch.autocast("cpu", enabled=False)  # validation asks under autocast, which must not touch stored float16
    def __getitem__(self, task: Task) -> LoadedBatch:
        pairs = zip(task.index_B, task.epoch_B, strict=True)
        try:
            loaded = [self._load(*pair) for pair in pairs]
        except PipelineError as error:  # as a value: an exception loses its type and message between processes
            return LoadedBatch(None, 0, error=error)
        batch = self._source.collate([sample for sample, _ in loaded])
        problems = tuple(problem for _, problem in loaded if problem != SampleProblems())
        return LoadedBatch(batch, len(loaded), problems, task.last)

    def _load(self, index: int, epoch: int) -> tuple[Any, SampleProblems]:
        try:
            return load_or_replace(self._source, index, epoch, self._seed, self._policy)
        except Exception as error:
            error.add_note(f"while making sample {index} of epoch {epoch} of {type(self._source).__name__}")
            raise


def _checked(loaded: LoadedBatch, counts: ProblemCounts) -> Batch:
    """The batch, after its problems are counted. Raises the error that it holds instead, if any."""
    if loaded.error is not None:
        raise loaded.error
    assert loaded.batch is not None
    counts.add(loaded.samples, loaded.problems)
    return loaded.batch


def _policy(source: SampleSource[Any]) -> BadRowPolicy:
    return getattr(source, "policy", _DEFAULT_POLICY)


def _unchanged(loaded: Any) -> Any:
    return loaded


def _start_worker(number: int) -> None:
    """One thread per worker. Signals are for the training process, which saves while its workers still work."""
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(ignored, signal.SIG_IGN)
