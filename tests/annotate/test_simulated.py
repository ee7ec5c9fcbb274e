"""Facts about the error model that stands in where there are no weights."""

import numpy as np
import pytest
from scipy import ndimage

from scenegen.annotate.alignment import align_image, masked_errors
from scenegen.annotate.protocol import Request, Truth
from scenegen.annotate.simulated import SEVERITIES, SimulatedEstimator, simulate
from scenegen.errors import UsageError


def make_truth(width):
    """Sky above a floor and a wall, a box, and a thin post before the wall."""
    height = width
    rows, columns = np.mgrid[0:height, 0:width] / width
    depth = np.minimum(6.0, 1.2 / np.maximum(rows - 0.3, 1e-3))
    ids = np.where(depth < 6, 1, 2).astype(np.uint16)
    box = (rows > 0.5) & (rows < 0.8) & (columns > 0.2) & (columns < 0.5)
    depth[box], ids[box] = 2.0 + 0.5 * columns[box], 3
    post = (rows > 0.3) & (rows < 0.7) & (np.abs(columns - 0.75) < 0.5 * 0.008)
    depth[post], ids[post] = 1.5, 4
    sky = rows < 0.1
    depth[sky], ids[sky] = np.nan, 0
    return Truth(depth.astype(np.float32), ids)


def aligned_error(truth, severity, seed):
    estimate = simulate(truth.depth_m, truth.instance_id, SEVERITIES[severity], np.random.default_rng(seed))
    valid = np.isfinite(estimate)
    alignment = align_image(estimate, truth.depth_m, valid, "scale_shift", np.random.default_rng(0))
    return masked_errors(alignment.apply(estimate), truth.depth_m, valid).abs_rel


def request(view_index=0, width=96):
    truth = make_truth(width)
    return Request(7, view_index, np.zeros((width, width, 3), np.uint8), truth=truth)


def test_a_view_has_the_same_errors_alone_and_among_others():
    estimator = SimulatedEstimator(seed=3)
    together = estimator.predict([request(0), request(1), request(2)])
    (alone,) = SimulatedEstimator(seed=3).predict([request(1)])
    np.testing.assert_array_equal(alone.map, together[1].map)
    assert alone.variant == together[1].variant


def test_views_and_seeds_have_errors_of_their_own():
    first, second = SimulatedEstimator("medium", seed=3).predict([request(0), request(1)])
    (other_seed,) = SimulatedEstimator("medium", seed=4).predict([request(0)])
    assert not np.array_equal(first.map, second.map, equal_nan=True)
    assert not np.array_equal(first.map, other_seed.map, equal_nan=True)


def test_each_severity_is_worse_than_the_last_after_the_best_alignment():
    truth = make_truth(128)
    means = [np.mean([aligned_error(truth, severity, seed) for seed in range(6)]) for severity in SEVERITIES]
    assert 0.005 < means[0] < means[1] < means[2] < 0.3
    assert means[1] > 1.5 * means[0] and means[2] > 1.3 * means[1]


def test_errors_do_not_depend_on_the_resolution():
    small, large = (np.mean([aligned_error(make_truth(w), "medium", s) for s in range(6)]) for w in (96, 192))
    assert small == pytest.approx(large, rel=0.5)


def test_the_sky_is_refused():
    truth = make_truth(96)
    estimate = simulate(truth.depth_m, truth.instance_id, SEVERITIES["mild"], np.random.default_rng(0))
    assert np.isnan(estimate[np.isnan(truth.depth_m)]).all()
    assert np.isfinite(estimate).mean() > 0.8


def test_points_fly_between_an_object_and_what_is_behind_it():
    truth = make_truth(192)
    how = SEVERITIES["severe"]
    estimate = simulate(truth.depth_m, truth.instance_id, how, np.random.default_rng(1))
    alignment = align_image(estimate, truth.depth_m, np.isfinite(estimate), "scale_shift", np.random.default_rng(0))
    depth = alignment.apply(estimate)
    box = truth.instance_id == 3
    top = slice(int(0.47 * 192), int(0.53 * 192))  # rows over its upper edge, where the floor is far behind
    column = depth[top, int(0.35 * 192)]
    behind, front = np.nanmedian(depth[int(0.45 * 192), 60:90]), np.nanmedian(depth[box])
    between = (column > front + 0.2 * (behind - front)) & (column < behind - 0.2 * (behind - front))
    assert between.any()


def test_a_thin_post_vanishes_in_a_severe_map_and_stays_in_a_mild_one():
    truth = make_truth(256)
    post = truth.instance_id == 4
    wall = (truth.instance_id == 2) & ndimage.binary_dilation(post, iterations=12) & ~post

    def contrast(severity):
        how = SEVERITIES[severity]
        estimate = simulate(truth.depth_m, truth.instance_id, how, np.random.default_rng(2))
        return np.nanmedian(estimate[post]) / np.nanmedian(estimate[wall])

    assert contrast("severe") > 0.8  # the depth of the wall
    assert contrast("mild") < 0.6


def test_it_is_made_from_the_truth_and_says_so_when_there_is_none():
    with pytest.raises(ValueError, match="ground truth"):
        SimulatedEstimator().predict([Request(0, 0, np.zeros((8, 8, 3), np.uint8))])


def test_an_unknown_severity_is_refused_with_those_that_exist():
    with pytest.raises(UsageError, match="mild, medium, severe, mixed"):
        SimulatedEstimator("awful")


def test_an_empty_view_gives_an_empty_map():
    nothing = np.full((16, 16), np.nan, np.float32)
    rng = np.random.default_rng(0)
    assert np.isnan(simulate(nothing, np.zeros((16, 16), np.uint16), SEVERITIES["mild"], rng)).all()
