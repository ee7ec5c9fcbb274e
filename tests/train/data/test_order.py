"""Which samples a step has: every one once an epoch, in bundles of a view, and nothing but the seed decides."""

import numpy as np
import pytest

from pipelines.train.data.order import SampleOrder

GROUPS = np.repeat(np.arange(30), np.random.default_rng(0).integers(1, 12, 30))
ONES = np.ones(len(GROUPS))


def steps(order, count, batch_size):
    picks = [order.step(step, batch_size) for step in range(count)]
    return np.concatenate([p.index_B for p in picks]), np.concatenate([p.visit_B for p in picks])


def test_an_epoch_shows_every_sample_once_and_the_next_in_another_order():
    index, visit = steps(SampleOrder(GROUPS, ONES, 0, 4), 2, len(GROUPS))
    first, second = index[: len(GROUPS)], index[len(GROUPS) :]
    assert sorted(first) == sorted(second) == [*range(len(GROUPS))]
    assert (first != second).mean() > 0.9
    assert (visit == np.repeat([0, 1], len(GROUPS))).all()


def test_any_step_can_be_asked_for_alone_and_batches_only_cut_the_same_order():
    whole, _ = steps(SampleOrder(GROUPS, ONES, 3, 4), 60, 7)
    np.testing.assert_array_equal(SampleOrder(GROUPS, ONES, 3, 4).step(59, 7).index_B, whole[59 * 7 :])
    np.testing.assert_array_equal(steps(SampleOrder(GROUPS, ONES, 3, 4), 30, 14)[0], whole)


def test_another_seed_is_another_order():
    assert (
        SampleOrder(GROUPS, ONES, 0, 4).step(0, 50).index_B != SampleOrder(GROUPS, ONES, 1, 4).step(0, 50).index_B
    ).any()


def test_objects_of_a_view_come_in_bundles_that_differ_from_epoch_to_epoch():
    order = SampleOrder(GROUPS, ONES, 0, per_view=4)
    bundles = []
    for epoch in range(2):
        index = order.step(epoch, len(GROUPS)).index_B
        runs = np.split(index, np.flatnonzero(np.diff(GROUPS[index])) + 1)
        assert len(runs) <= 2 * np.ceil(np.bincount(GROUPS) / 4).sum()
        assert np.mean([len(run) for run in runs]) > 2.5
        bundles.append({frozenset(run.tolist()) for run in runs if len(run) > 1})
    assert len(bundles[0] & bundles[1]) < len(bundles[0]) / 2


@pytest.mark.parametrize("weight", [0.25, 1.5, 2.0])
def test_a_weight_is_how_often_a_sample_is_seen_in_an_epoch(weight):
    groups = np.arange(400)
    weights = np.where(groups < 200, 1.0, weight)
    order = SampleOrder(groups, weights, 0, 4)
    index, visit = steps(order, 8 * 4, round(200 * (1 + weight) / 4))
    seen = np.bincount(index, minlength=400)
    assert seen[200:].sum() / seen[:200].sum() == pytest.approx(weight, rel=0.05)
    assert seen[200:].max() - seen[200:].min() <= 2, "every sample has its turn"
    pairs = set(zip(index.tolist(), visit.tolist(), strict=True))
    assert len(pairs) == len(index), "no sample comes twice with the same random numbers"


def test_the_order_of_today_is_the_order_of_tomorrow():
    """Resuming an old run must find the old order: these are the hashes of these lines, not of a library."""
    assert SampleOrder(np.arange(10), np.ones(10), 0, 4).step(0, 10).index_B.tolist() == [
        1,
        3,
        9,
        7,
        8,
        2,
        5,
        6,
        0,
        4,
    ]
