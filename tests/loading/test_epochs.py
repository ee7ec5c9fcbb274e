"""Epochs of views: each comes once over workers and ranks, in an order of (seed, epoch), and is resumed exactly."""

from itertools import pairwise

import pytest
import torch
from torch.utils.data import DataLoader

from scenegen import IterableViewDataset, ViewDataset


@pytest.fixture
def views(dataset_dir):
    return ViewDataset(dataset_dir, ["rgb"], transform=noisy)


def noisy(sample):
    """A random transform of PyTorch's kind, which draws from its global generator."""
    return {"number": sample["number"], "rgb": sample["rgb"] + torch.rand(sample["rgb"].shape)}


def numbers(samples):
    return [int(sample["number"]) for sample in samples]


def epochs(samples, count):
    found = []
    for epoch in range(count):
        samples.set_epoch(epoch)
        found.append(numbers(samples))
    return found


def test_every_view_comes_once_an_epoch_and_every_epoch_has_an_order_of_its_own(views):
    orders = epochs(IterableViewDataset(views, seed=3), 4)
    assert all(sorted(order) == [*range(6)] for order in orders)
    assert all(one != other for one, other in pairwise(orders))
    assert epochs(IterableViewDataset(views, seed=3), 4) == orders != epochs(IterableViewDataset(views, seed=4), 4)
    assert numbers(IterableViewDataset(views, shuffle=False)) == [*range(6)]


def test_views_of_few_shards_come_together(dataset_dir):
    views = ViewDataset(dataset_dir, ["rgb"])  # 0 to 3 in the first shard, 4 and 5 in the second
    for order in epochs(IterableViewDataset(views, shards_together=1), 5):
        assert {*order[:4]} == {*range(4)} or {*order[:2]} == {4, 5}
    mixed = epochs(IterableViewDataset(views), 5)
    assert any({*order[:4]} != {*range(4)} and {*order[:2]} != {4, 5} for order in mixed)


@pytest.mark.parametrize("world_size", [1, 4])
def test_ranks_share_an_epoch_without_losing_or_repeating_a_view(views, world_size):
    ranks = [IterableViewDataset(views, rank=rank, world_size=world_size) for rank in range(world_size)]
    shares = [numbers(samples) for samples in ranks]
    assert sorted(number for share in shares for number in share) == [*range(6)]
    assert [len(samples) for samples in ranks] == [len(share) for share in shares]
    equal = [IterableViewDataset(views, rank=r, world_size=world_size, equal_ranks=True) for r in range(world_size)]
    assert {len(numbers(samples)) for samples in equal} == {6 // world_size} == {len(equal[0])}


def test_the_group_of_torch_distributed_is_asked(views, tmp_path):
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        samples = IterableViewDataset(views)
        assert (samples.rank, samples.world_size) == (0, 1)
    finally:
        torch.distributed.destroy_process_group()
    with pytest.raises(ValueError, match="rank 2 of 2"):
        IterableViewDataset(views, rank=2, world_size=2)


def test_batches_are_the_same_for_any_number_of_workers_which_hear_of_a_new_epoch(views):
    samples = IterableViewDataset(views, batch_size=2)
    alone = DataLoader(samples, batch_size=2)
    shared = DataLoader(samples, batch_size=2, num_workers=2, persistent_workers=True)
    for epoch in (0, 1):
        samples.set_epoch(epoch)
        wanted, found = list(alone), list(shared)
        assert len(found) == len(wanted) == len(shared) == 3
        for ours, theirs in zip(wanted, found, strict=True):
            assert torch.equal(ours["number"], theirs["number"]) and torch.equal(ours["rgb"], theirs["rgb"])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_dataloader_resumes_in_the_middle_of_an_epoch_bit_for_bit(views, workers):
    stateful = pytest.importorskip("torchdata.stateful_dataloader")

    def loader():
        samples = IterableViewDataset(views, batch_size=2, seed=1)
        samples.set_epoch(5)
        return stateful.StatefulDataLoader(samples, batch_size=2, num_workers=workers)

    before, whole = loader(), list(loader())
    next(iter(before))
    state = before.state_dict()
    resumed = loader()
    resumed.load_state_dict(state)
    rest = list(resumed)
    assert len(rest) == 2
    for wanted, found in zip(whole[1:], rest, strict=True):
        assert torch.equal(wanted["number"], found["number"]) and torch.equal(wanted["rgb"], found["rgb"])
    assert torch.equal(torch.cat([batch["number"] for batch in resumed]), torch.cat([b["number"] for b in whole]))


def test_views_by_number_resume_with_the_stateful_dataloaders_own_sampler(dataset_dir):
    stateful = pytest.importorskip("torchdata.stateful_dataloader")

    def loader():
        views = ViewDataset(dataset_dir, ["rgb"])
        return stateful.StatefulDataLoader(views, shuffle=True, generator=torch.Generator().manual_seed(0))

    before, resumed = loader(), loader()
    batches = iter(before)
    next(batches)
    state = before.state_dict()
    resumed.load_state_dict(state)
    assert numbers(resumed) == numbers(batches)


def test_a_state_brings_its_epoch_and_is_refused_by_another_order(views):
    samples = IterableViewDataset(views)
    samples.set_epoch(2)
    iterator = iter(samples)
    begun, state = next(iterator), iterator.state_dict()
    rest = numbers(iterator)
    fresh = iter(IterableViewDataset(views))
    fresh.load_state_dict(state)
    assert numbers(fresh) == rest and len(rest) == 5 and int(begun["number"]) not in rest
    with pytest.raises(ValueError, match="same data, filters, seed"):
        iter(IterableViewDataset(views, seed=9)).load_state_dict(state)


def test_a_random_transform_leaves_the_generator_of_training_alone(views):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    next(iter(IterableViewDataset(views)))
    assert torch.equal(before, torch.get_rng_state())
