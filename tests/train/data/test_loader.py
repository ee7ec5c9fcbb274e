"""What reaches training: the same batches for any number of workers and ranks; errors with the row's name."""

import logging
import multiprocessing
from itertools import chain

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from pipelines.errors import PipelineError
from pipelines.train.data import loader
from pipelines.train.data.bad_samples import BadRowPolicy
from pipelines.train.data.errors import BadRowError, Rejected
from pipelines.train.data.options import DataLocation, DataOptions
from pipelines.train.data.sources.common import STRUCTURE_TOKENS
from pipelines.train.data.sources.structure import StructureSource
from pipelines.train.interfaces.loading import LoaderOptions

RAISING = BadRowPolicy("raise")
BUDGET = 3 * STRUCTURE_TOKENS


@pytest.fixture(scope="module")
def source(tiny_data):
    return StructureSource(DataOptions((DataLocation(str(tiny_data)),), image_px=48), "train", 0, "coarse")


def options(**changes):
    return LoaderOptions(**{"seed": 0, "batch_size": 8, "micro_batch_tokens": BUDGET, **changes})


def steps(source, count, first=0, **changes):
    batches = loader.training_batches(source, options(**changes), first)
    return [next(batches) for _ in range(count)]


def contents(batch):
    names = [(name.view, name.instance_id, name.asset_uid) for name in batch.names]
    return names, batch.images.instances_u8_B4SS, batch.voxels_partial_V, batch.noise


def assert_same(one, other):
    for a, b in zip(contents(one), contents(other), strict=True):
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_batches_do_not_depend_on_the_number_of_workers(source):
    alone, helped = steps(source, 3), steps(source, 3, workers=2)
    assert [len(step) for step in alone] == [len(step) for step in helped]
    for one, other in zip(chain(*alone), chain(*helped), strict=True):
        assert_same(one, other)


def test_training_resumes_where_it_stopped(source):
    (fourth,) = steps(source, 1, first=3)
    for one, other in zip(fourth, steps(source, 4)[3], strict=True):
        assert_same(one, other)


def test_ranks_share_the_samples_of_one_process(source):
    def names(**changes):
        return sorted(contents(batch)[0][i] for batch in steps(source, 1, **changes)[0] for i in range(len(batch)))

    alone = names()
    assert sorted(names(rank=0, world_size=2) + names(rank=1, world_size=2)) == alone
    assert len(alone) == 8


def test_fixed_samples_come_in_their_order(source):
    batches = list(loader.fixed_batches(source, [4, 0, 7, 2], options(batch_size=1)))
    assert [len(batch) for batch in batches] == [3, 1]
    again = list(loader.fixed_batches(source, [4, 0, 7, 2], options(batch_size=64, workers=1)))
    for one, other in zip(batches, again, strict=True):
        assert_same(one, other)


class Flawed:
    """A source whose samples are their numbers, some of which are bad."""

    def __init__(self, bad=(), rejected=(), policy=RAISING):
        self.bad, self.rejected, self.policy = set(bad), set(rejected), policy

    def __len__(self):
        return 40

    def costs(self):
        return np.ones(40)

    def load(self, index, epoch):
        if index in self.bad:
            raise BadRowError(f"views-00003, row {index}, asset chair: torn")
        if index in self.rejected:
            raise Rejected("too small")
        return index

    def collate(self, samples):
        return tuple(samples)


def samples(source, **changes):
    return [sample for step in steps(source, 5, micro_batch_tokens=100.0, **changes) for sample in step[0]]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_row_ends_training_with_its_name(workers):
    with pytest.raises(BadRowError, match="views-00003, row 7, asset chair"):
        samples(Flawed(bad=[7]), workers=workers)


def test_bad_rows_are_replaced_by_the_same_samples_every_time_and_logged(caplog):
    policy = BadRowPolicy("replace")
    with caplog.at_level(logging.WARNING):
        found = samples(Flawed(bad=[7, 8], policy=policy))
    assert len(found) == 40 and not {7, 8} & {*found}
    assert found == samples(Flawed(bad=[7, 8], policy=policy), workers=2)
    assert "views-00003, row 7" in caplog.text


def test_too_many_bad_rows_are_an_error_that_says_how_many():
    with pytest.raises(PipelineError, match=r"more than the budget of 0.10%"):
        samples(Flawed(bad=range(0, 40, 4), policy=BadRowPolicy("replace")))


def test_rejected_samples_are_replaced_without_asking():
    found = samples(Flawed(rejected=range(10)))
    assert len(found) == 40 and min(found) >= 10


def test_a_source_that_rejects_everything_is_an_error_with_the_reasons():
    with pytest.raises(PipelineError, match=r"64 samples in a row.*too small \(64\)"):
        samples(Flawed(rejected=range(40)))


def test_workers_have_ended_when_batches_are_closed_though_something_still_refers_to_them(source, monkeypatch):
    kept, begin = [], DataLoader.__iter__

    def keeping(self):
        kept.append(begin(self))
        return kept[-1]

    monkeypatch.setattr(DataLoader, "__iter__", keeping)
    before = set(multiprocessing.active_children())
    batches = loader.training_batches(source, options(workers=2), 0)
    next(batches)
    workers = set(multiprocessing.active_children()) - before
    assert len(workers) == 2 and all(worker.is_alive() for worker in workers)
    batches.close()
    assert not any(worker.is_alive() for worker in workers)
