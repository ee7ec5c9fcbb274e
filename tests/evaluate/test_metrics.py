"""Metrics on shapes with closed forms, and what they promise at the edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solids import box, sphere, square

from pipelines.evaluate.metrics.bootstrap import mean_with_interval
from pipelines.evaluate.metrics.distances import _nearest, _nearest_of_all_pairs, neighbours, point_scores
from pipelines.evaluate.metrics.frames import box_pose, pose_matrix, to_canonical
from pipelines.evaluate.metrics.normals import normal_consistency
from pipelines.evaluate.metrics.overlap import box_iou, voxel_iou
from pipelines.evaluate.metrics.sampling import EmptyShape, Samples, sample_rng, sample_shape
from pipelines.evaluate.metrics.scores import NeighbourSearch, missing_object, score_object
from pipelines.evaluate.records.shapes import Shape


def sampled(shape, count=20_000, seed=0):
    return sample_shape(shape, count, np.random.default_rng(seed))


def test_chamfer_of_concentric_spheres_is_the_gap_of_their_radii():
    found = neighbours(sampled(sphere(1.0)).points_N3, sampled(sphere(0.7), seed=1).points_N3)
    scores = point_scores(found, threshold=0.29)
    assert scores.chamfer == pytest.approx(0.3, abs=3e-3)
    assert scores.f_score == 0
    assert point_scores(found, threshold=0.32).f_score == pytest.approx(100, abs=1e-3)


def test_f_score_of_a_square_and_its_half_counts_precision_and_recall_apart():
    half = Shape(square().vertices_V3 * [0.5, 1, 1] - [0.25, 0, 0], square().faces_F3)
    scores = point_scores(neighbours(sampled(square()).points_N3, sampled(half, seed=1).points_N3), threshold=0.1)
    assert scores.precision == 100
    assert scores.recall == pytest.approx(60, abs=1)  # the half, and a strip as wide as the threshold
    assert scores.f_score == pytest.approx(2 * 60 / 1.6, abs=1)


def test_boxes_that_share_half_of_each_have_an_iou_of_a_third():
    assert box_iou(box().vertices_V3, box(centre=(0.5, 0, 0)).vertices_V3) == pytest.approx(1 / 3, abs=1e-6)


def test_voxels_of_two_parallel_squares_overlap_by_their_common_part():
    shifted = square(x=0.5)
    value = voxel_iou(sampled(square()).points_N3, sampled(shifted, seed=1).points_N3, voxel=0.1)
    assert value == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize(("degrees", "expected"), [(0, 1), (60, 0.5), (90, 0), (180, 1)])
def test_normal_consistency_is_the_cosine_between_two_planes(degrees, expected):
    flat, angle = sampled(square(), 500), np.radians(degrees)
    rotated = np.tile([0, np.sin(angle), np.cos(angle)], (500, 1))
    found = neighbours(flat.points_N3, flat.points_N3)
    assert normal_consistency(flat.normals_N3, rotated, found) == pytest.approx(expected, abs=1e-9)


def test_points_are_even_over_the_area_of_faces_of_any_size():
    shape = box((4.0, 1.0, 0.25))
    points = sampled(shape, 50_000).points_N3
    on_x_face = np.isclose(np.abs(points[:, 0]), 2.0).mean()
    assert on_x_face == pytest.approx(2 * 0.25 / (2 * (4 + 1 + 0.25)), abs=5e-3)
    assert np.abs(points.mean(axis=0)).max() < 0.02


def test_sampling_depends_on_seed_view_instance_and_who_and_on_nothing_else():
    draws = [
        sample_rng(*arguments).random()
        for arguments in ((0, "a", 3, 0), (1, "a", 3, 0), (0, "b", 3, 0), (0, "a", 4, 0), (0, "a", 3, 1))
    ]
    assert len(set(draws)) == 5
    assert sample_rng(0, "a", 3, 0).random() == draws[0]


@pytest.mark.parametrize(
    "shape",
    [
        Shape.of_points(np.zeros((0, 3))),
        Shape.of_points(np.full((3, 3), np.nan)),
        Shape(np.zeros((3, 3)), np.array([[0, 1, 2]])),
    ],
    ids=["nothing", "nan", "no area"],
)
def test_what_cannot_be_sampled_is_refused(shape):
    with pytest.raises(EmptyShape):
        sampled(shape)


def test_the_canonical_frame_undoes_the_official_pose():
    canonical = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 3))
    scale, yaw, translation = 1.3, 0.7, np.array([1.0, -2.0, 0.5])
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    world = scale * canonical @ turn.T - translation
    np.testing.assert_allclose(to_canonical(world, pose_matrix(translation, scale, yaw)), 1.9 * canonical, atol=1e-12)


def test_a_thing_without_a_pose_is_compared_in_its_own_box():
    world = box((2.0, 4.0, 1.0), (5.0, 5.0, 5.0)).vertices_V3
    inside = to_canonical(world, box_pose(world))
    np.testing.assert_allclose(inside.max(axis=0), [0.475, 0.95, 0.2375])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 1.0), st.integers(1, 40))
def test_no_prediction_inside_the_truths_box_scores_worse_than_none(seed, spread, count):
    rng = np.random.default_rng(seed)
    truth = sampled(box((1.0, 0.5, 0.8)), 300, seed)
    low, high = truth.points_N3.min(axis=0), truth.points_N3.max(axis=0)
    guess = Samples(low + (high - low) * rng.uniform(0, spread, (count, 3)), None)
    pose = box_pose(truth.points_N3)
    given_any = score_object(truth, guess, "canonical", pose, NeighbourSearch())
    nothing = missing_object(truth, "canonical", pose)
    assert given_any.chamfer <= nothing.chamfer
    assert given_any.f_score >= nothing.f_score == 0
    assert given_any.box_iou >= nothing.box_iou == 0


def test_comparing_all_pairs_on_a_device_agrees_with_the_tree():
    rng = np.random.default_rng(0)
    truth, pred = rng.normal(size=(700, 3)), rng.normal(size=(500, 3))
    for one, other in ((truth, pred), (pred, truth)):
        tree, pairs = _nearest(one, other, "cpu", 1), _nearest_of_all_pairs(one, other, "cpu")
        np.testing.assert_allclose(pairs[0], tree[0], rtol=1e-12)
        np.testing.assert_array_equal(pairs[1], tree[1])


def test_intervals_draw_scenes_so_equal_objects_within_scenes_add_no_certainty():
    rng = np.random.default_rng(0)
    of_scene = rng.normal(size=12)
    once = mean_with_interval(of_scene.tolist(), [str(i) for i in range(12)], np.random.default_rng(1))
    tenfold = mean_with_interval(
        np.repeat(of_scene, 10).tolist(), [str(i) for i in range(12) for _ in range(10)], np.random.default_rng(1)
    )
    assert once.mean == pytest.approx(tenfold.mean)
    assert tenfold.high - tenfold.low == pytest.approx(once.high - once.low)


def test_intervals_cover_the_true_mean_about_as_often_as_they_say():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(200):
        values = rng.normal(size=40)
        found = mean_with_interval(values.tolist(), [str(i) for i in range(40)], rng, resamples=400)
        covered += found.low <= 0 <= found.high
    assert 175 <= covered <= 198


def test_one_scene_has_a_mean_but_no_interval():
    found = mean_with_interval([1.0, 3.0], ["a", "a"], np.random.default_rng(0))
    assert (found.mean, found.low, found.high) == (2.0, None, None)
