"""Facts about fitting an estimator's map to the truth."""

import numpy as np
import pytest

from scenegen.annotate.alignment import align_image, align_instances, depth_errors, masked_errors
from scenegen.contract.sidecar import Alignment

SHAPE = (48, 64)


@pytest.fixture
def truth():
    """A floor that runs away, with a box in front of it."""
    depth = np.broadcast_to(np.linspace(8, 2, SHAPE[0])[:, None], SHAPE).astype(np.float32).copy()
    depth[20:40, 20:44] = 2.5 + 0.02 * np.arange(24)
    return depth


@pytest.fixture
def rng():
    return np.random.default_rng(5)


everywhere = np.ones(SHAPE, bool)
MAPS = {
    "scale": lambda truth: truth / 1.7,
    "scale_shift": lambda truth: (truth - 0.8) / 2.3,
    "inverse_scale_shift": lambda truth: (1 / truth - 0.05) / 0.4,
}


@pytest.mark.parametrize("kind", MAPS)
def test_a_map_of_its_kind_is_aligned_exactly(kind, truth, rng):
    alignment = align_image(MAPS[kind](truth), truth, everywhere, kind, rng)
    np.testing.assert_allclose(alignment.apply(MAPS[kind](truth)), truth, rtol=1e-4)


@pytest.mark.parametrize("kind", MAPS)
def test_a_third_of_wild_pixels_does_not_move_the_fit(kind, truth, rng):
    estimate = MAPS[kind](truth)
    wild = rng.random(SHAPE) < 0.33
    estimate[wild] *= rng.uniform(2, 8, int(wild.sum()))
    alignment = align_image(estimate, truth, everywhere, kind, rng)
    np.testing.assert_allclose(alignment.apply(estimate)[~wild], truth[~wild], rtol=0.01)
    assert alignment.inlier_share == pytest.approx(0.67, abs=0.05)


def test_inverse_depth_taken_for_depth_is_far_off_whatever_the_scale_and_shift(truth, rng):
    estimate = MAPS["inverse_scale_shift"](truth).astype(np.float32)
    right = align_image(estimate, truth, everywhere, "inverse_scale_shift", rng)
    wrong = align_image(estimate, truth, everywhere, "scale", rng)
    assert masked_errors(right.apply(estimate), truth, everywhere).abs_rel < 1e-3
    assert masked_errors(wrong.apply(estimate), truth, everywhere).abs_rel > 0.3


def test_a_map_that_runs_the_wrong_way_is_not_aligned(truth, rng):
    assert align_image(10 - truth, truth, everywhere, "scale_shift", rng) is None


def test_nothing_in_common_is_not_aligned(truth, rng):
    assert align_image(truth, truth, ~everywhere, "scale", rng) is None
    assert align_image(truth, np.full_like(truth, np.nan), everywhere, "scale", rng) is None


def test_near_and_far_count_alike(rng):
    """A few metres off at a hundred metres is as good as centimetres off at one."""
    truth = np.where(rng.random(SHAPE) < 0.5, 1.0, 100.0)
    estimate = truth * (1 + 0.05 * rng.standard_normal(SHAPE))
    alignment = align_image(estimate, truth, everywhere, "scale", rng)
    assert alignment.scale == pytest.approx(1, abs=0.01)


def test_each_instance_gets_the_scale_that_puts_it_in_its_place(truth):
    ids = np.ones(SHAPE, np.uint16)
    ids[20:40, 20:44] = 3
    estimate = truth.copy()
    estimate[ids == 3] *= 1.25
    (found,) = align_instances(estimate, truth, ids, everywhere)
    assert (found.instance_id, found.errors.delta1) == (3, 1.0)
    assert found.scale == pytest.approx(0.8) and found.errors.abs_rel < 1e-5
    assert found.fitted_px < (ids == 3).sum()  # the edge is left out


def test_bleeding_edges_do_not_spoil_an_instance(truth):
    ids = np.ones(SHAPE, np.uint16)
    ids[20:40, 20:44] = 3
    estimate = truth.copy()
    estimate[20:40, 20] = 8
    (found,) = align_instances(estimate, truth, ids, everywhere)
    assert found.scale == pytest.approx(1, abs=1e-3)


def test_instances_of_a_handful_of_pixels_are_left_out(truth):
    ids = np.ones(SHAPE, np.uint16)
    ids[0, :5] = 3
    assert align_instances(truth, truth, ids, everywhere) == ()


def test_errors_are_those_of_the_literature():
    errors = depth_errors(np.array([1.0, 2.0, 3.0, 1.0]), np.array([1.0, 1.0, 3.3, 1.2]))
    assert errors.abs_rel == pytest.approx((0 + 1 + 0.3 / 3.3 + 0.2 / 1.2) / 4)
    assert errors.delta1 == 0.75


def test_aligned_inverse_depth_that_is_not_positive_is_no_depth():
    depth = Alignment("inverse_scale_shift", 1.0, -0.5).apply(np.array([[0.4, 0.5, 0.505, 1.0]], np.float32))
    np.testing.assert_array_equal(np.isnan(depth), [[True, True, True, False]])
    assert depth[0, 3] == 2.0
