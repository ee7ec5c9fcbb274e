"""How a step is shared: each sample exactly once, equal numbers of micro-batches, balanced, within the budget."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.train.data.plan import micro_batches, plan_step


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    per_rank=st.integers(1, 9),
    world_size=st.integers(1, 8),
    budget=st.floats(0.5, 20),
    per_view=st.integers(1, 6),
)
def test_every_sample_is_trained_once_by_ranks_in_step(seed, per_rank, world_size, budget, per_view):
    rng = np.random.default_rng(seed)
    size = per_rank * world_size
    cost, group = rng.uniform(0.2, 3, size), np.arange(size) // per_view
    plan = plan_step(cost, group, world_size, budget)
    assert sorted(position for rank in plan for micro in rank for position in micro) == [*range(size)]
    assert len({len(rank) for rank in plan}) == 1
    assert all(micro for rank in plan for micro in rank)
    assert all(len(micro) == 1 or cost[list(micro)].sum() <= budget for rank in plan for micro in rank)
    assert len({sum(map(len, rank)) for rank in plan}) == 1


def test_ranks_are_balanced_by_cost_and_not_by_number():
    cost = np.random.default_rng(0).uniform(1000, 32000, 128)
    plan = plan_step(cost, np.arange(128), world_size=8, micro_batch_tokens=64_000)
    load = [sum(cost[list(micro)].sum() for micro in rank) for rank in plan]
    assert max(load) / np.mean(load) < 1.02
    in_turn = cost.reshape(8, 16).sum(axis=1)
    assert in_turn.max() / in_turn.mean() > 1.1, "as it would be without a plan"


def test_objects_of_a_view_stay_together():
    plan = plan_step(np.ones(128), np.arange(128) // 4, world_size=8, micro_batch_tokens=8)
    for rank in plan:
        for micro in rank:
            assert {len([p for p in micro if p // 4 == view]) for view in {p // 4 for p in micro}} == {4}


def test_a_batch_that_the_ranks_do_not_divide_is_still_shared_whole():
    plan = plan_step(np.ones(13), np.arange(13), world_size=4, micro_batch_tokens=1.0)
    assert sorted(p for rank in plan for micro in rank for p in micro) == [*range(13)]
    assert len({len(rank) for rank in plan}) == 1


def test_fewer_samples_than_ranks_are_refused():
    with pytest.raises(ValueError, match="larger batch"):
        plan_step(np.ones(3), np.arange(3), world_size=4, micro_batch_tokens=1.0)


def test_fixed_samples_are_cut_in_their_order():
    assert micro_batches(np.array([1.0, 1, 3, 9, 1, 1]), 4.0) == [(0, 1), (2,), (3,), (4, 5)]
