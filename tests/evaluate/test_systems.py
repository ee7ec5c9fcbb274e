"""Baselines, predictions as files, other projects' frames, merged masks, depth."""

import json

import numpy as np
import pytest
import trimesh
from solids import box, sphere

from pipelines.errors import PipelineError, UsageError
from pipelines.evaluate.files.checked import UnexpectedLayout
from pipelines.evaluate.files.meshes import read_shape
from pipelines.evaluate.judging.depth import affine_ransac, depth_for
from pipelines.evaluate.judging.evaluation import Condition, evaluate, prepare_view
from pipelines.evaluate.judging.judge import Judge
from pipelines.evaluate.judging.merged_masks import merge_masks, pair_neighbours
from pipelines.evaluate.judging.rules import Rules
from pipelines.evaluate.metrics.distances import neighbours
from pipelines.evaluate.metrics.sampling import sample_shape
from pipelines.evaluate.records.options import DepthChoice
from pipelines.evaluate.records.systems import Prediction, SystemAnswer
from pipelines.evaluate.systems.baselines import baseline, visible_points
from pipelines.evaluate.systems.placement import fit_similarity, upright_starts
from pipelines.evaluate.systems.predictions import PredictionFolder, ViewReport, write_answer
from pipelines.evaluate.systems.third_party import Gen3dsrFolder, MidiFolder
from pipelines.evaluate.truth.shards import ShardTruth

JUDGE = Judge(Rules(points=2000))
CEILING = "ground_truth"


@pytest.fixture(scope="session")
def by_baseline(tiny_truth):
    names = ("visible_points", "visible_surface", "convex_hull", CEILING)
    return {name: evaluate(baseline(name, tiny_truth), tiny_truth, JUDGE, Condition()) for name in names}


def mean(evaluation, score):
    return float(np.mean([getattr(one.scores, score) for one in evaluation.objects if one.scores]))


def test_the_truth_sampled_again_scores_better_than_every_baseline(by_baseline):
    ceiling = by_baseline[CEILING]
    assert mean(ceiling, "f_score") > 98
    assert mean(ceiling, "box_iou") > 0.95
    assert mean(ceiling, "normal_consistency") > 0.9
    for other in (one for name, one in by_baseline.items() if name != CEILING):
        assert mean(other, "chamfer") > 1.5 * mean(ceiling, "chamfer")
        assert mean(other, "f_score") < mean(ceiling, "f_score")


def test_visible_points_with_exact_depth_lie_on_the_true_surface(tiny_truth, rng):
    view = tiny_truth.view(tiny_truth.keys[0])
    scene, _ = prepare_view(view, tiny_truth, Condition(), 0)
    for one in view.objects:
        points = visible_points(scene, one.instance_id).vertices_V3
        surface = sample_shape(one.shape, 50_000, rng).points_N3
        assert np.median(neighbours(points, surface).to_pred_N) < 0.005  # samples lie some 0.005 apart


def test_an_instance_without_depth_is_skipped_with_a_reason_and_penalised(tiny_truth):
    view = tiny_truth.view(tiny_truth.keys[0])
    scene, targets = prepare_view(view, tiny_truth, Condition(), 0)
    blind = scene.instance_ids[0]
    scene.depth_HW[scene.mask(blind)] = np.nan
    objects, whole = JUDGE.view(view, baseline("convex_hull", tiny_truth).complete(scene), targets)
    lost = objects[0]
    assert (lost.outcome, lost.scores, lost.penalised.f_score) == ("skipped", None, 0)
    assert "0 pixels" in lost.reason
    assert whole.penalised.recalls[0] < whole.scores.recalls[0]
    tiny_truth._views.clear()  # this view's depth was written into


def test_predictions_survive_being_written_and_read(tmp_path, tiny_truth, by_baseline):
    system, seen = baseline("convex_hull", tiny_truth), []
    for key in tiny_truth.keys:
        scene, _ = prepare_view(tiny_truth.view(key), tiny_truth, Condition(), 0)
        seen.append(system.complete(scene))
        write_answer(tmp_path, key, seen[-1], ViewReport("convex hull", depth="gt"))
    folder = PredictionFolder.open("from files", tmp_path)
    assert folder.name == "from files: convex hull"
    again = evaluate(folder, tiny_truth, JUDGE, Condition())
    assert mean(again, "chamfer") == pytest.approx(mean(by_baseline["convex_hull"], "chamfer"), rel=1e-4)
    shape, stored = (
        seen[0].predictions[0].shape,
        folder.complete(prepare_view(tiny_truth.view(tiny_truth.keys[0]), tiny_truth, Condition(), 0)[0]),
    )
    np.testing.assert_allclose(
        np.abs(stored.predictions[0].shape.colors_V3.astype(int) - shape.colors_V3).max(), 0, atol=1
    )


def test_official_results_without_a_report_are_taken_in_world_coordinates(tmp_path, tiny_truth):
    view = tiny_truth.view(tiny_truth.keys[0])
    for one in view.objects:
        path = tmp_path / view.key / "objects" / f"{one.instance_id}.glb"
        path.parent.mkdir(parents=True, exist_ok=True)
        trimesh.Trimesh(one.shape.vertices_V3, one.shape.faces_F3, process=False).export(path)
    found = evaluate(PredictionFolder.open("official", tmp_path), tiny_truth, JUDGE, Condition(), [view.key])
    assert all(one.scores.f_score > 99 for one in found.objects)


def test_files_that_are_missing_or_broken_are_named_outcomes_not_crashes(tmp_path, tiny_truth):
    view = tiny_truth.view(tiny_truth.keys[0])
    broken, told, silent = (one.instance_id for one in view.objects)
    place = tmp_path / view.key / "objects"
    place.mkdir(parents=True)
    (place / f"{broken}.glb").write_bytes(b"glTF but not really")
    report = ViewReport("x", outcomes={told: ("failed", "empty coarse result")})
    (tmp_path / view.key / "report.json").write_text(json.dumps(report.to_json()))
    found = evaluate(PredictionFolder.open("x", tmp_path), tiny_truth, JUDGE, Condition(), [view.key])
    outcomes = {one.target.members[0]: (one.outcome, one.reason) for one in found.objects}
    assert outcomes[broken][0] == "failed" and "cannot be read" in outcomes[broken][1]
    assert outcomes[told] == ("failed", "empty coarse result")
    assert outcomes[silent][0] == "missing"
    assert found.missing == 3 and found.scenes[0].scores is None and found.scenes[0].penalised.f_scores == (0.0,)


def test_a_folder_without_predictions_says_what_it_expected_and_found(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(PipelineError, match=r"expected <view key>/objects/<instance id>.glb, found notes.txt"):
        PredictionFolder.open("x", tmp_path)


def test_a_report_of_another_kind_is_refused(tmp_path, tiny_truth):
    (tmp_path / tiny_truth.keys[0]).mkdir()
    (tmp_path / tiny_truth.keys[0] / "report.json").write_text('{"format": 1, "instances": {"3": {"outcome": "fine"}}}')
    with pytest.raises(PipelineError, match="no report of a view"):
        PredictionFolder.open("x", tmp_path)


def test_predictions_of_two_systems_in_one_folder_are_refused(tmp_path):
    for key, system in (("a", "one"), ("b", "other")):
        write_answer(tmp_path, key, SystemAnswer(()), ViewReport(system))
    with pytest.raises(PipelineError, match="mixes predictions of one, other"):
        PredictionFolder.open("x", tmp_path)


def test_vertex_colours_of_a_glb_are_linear_and_read_as_srgb(tmp_path):
    answer = SystemAnswer((Prediction(3, box(color=(10, 128, 250))),))
    write_answer(tmp_path, "view", answer, ViewReport("x"))
    colors = read_shape(tmp_path / "view" / "objects" / "3.glb").colors_V3
    assert np.abs(colors.astype(int) - [10, 128, 250]).max() <= 1


def test_a_scene_rotated_scaled_and_moved_is_placed_back_by_one_similarity(rng):
    def sampled(shape):
        return sample_shape(shape, 800, rng).points_N3

    truth = {3: box((1.0, 0.6, 0.3), (0.2, 1.0, 0.1)), 4: sphere(0.4, (-0.9, 0.1, 0.2)), 5: box((0.2, 0.2, 1.2))}
    camera = np.array([3.0, -2.0, 1.5])
    visible = {}
    for i, shape in truth.items():
        points = sampled(shape)
        towards = points @ (camera / np.linalg.norm(camera))
        visible[i] = points[towards > np.median(towards)]  # the near half
    angle = 2.0
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    predicted = {i: 0.3 * sampled(shape) @ rotation.T + [0.1, 0.7, -0.4] for i, shape in truth.items()}
    fit = fit_similarity(visible, predicted, upright_starts(), rng)
    for i, points in predicted.items():
        back = points @ fit.T[:3, :3].T + fit.T[:3, 3]
        gap = np.abs(back - ((points - [0.1, 0.7, -0.4]) / 0.3) @ rotation).max()
        assert gap < 0.1, i  # points of a surface lie some 0.05 apart


def test_midis_scene_is_placed_and_judged_in_the_world(tmp_path, tiny_data):
    """One glTF node an instance, y up, small, rotated about the vertical and moved."""
    truth = ShardTruth.open(tiny_data, tiny_data, largest=0, min_ratio=0, limit=0)
    view = truth.view(truth.keys[0])
    scene, angle = trimesh.Scene(), 0.8
    rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    for one in sorted(view.objects, key=lambda one: one.instance_id):
        y_up = one.shape.vertices_V3[:, [0, 2, 1]] * [1, 1, -1]
        scene.add_geometry(trimesh.Trimesh(0.4 * y_up @ rotation.T + 0.2, one.shape.faces_F3, process=False))
    scene.export(tmp_path / f"{view.key}.glb")
    placed = evaluate(MidiFolder.open("MIDI", tmp_path, "similarity", 3), truth, JUDGE, Condition(), [view.key])
    in_place = evaluate(MidiFolder.open("MIDI", tmp_path, "in_place", 3), truth, JUDGE, Condition(), [view.key])
    assert placed.missing == 0
    assert mean(placed, "f_score") > 90 > 50 > mean(in_place, "f_score")


def test_gen3dsrs_instances_are_read_by_number_in_camera_coordinates(tmp_path, tiny_truth):
    view = tiny_truth.view(tiny_truth.keys[0])
    T_cam_world = np.linalg.inv(view.T_world_cam)
    place = tmp_path / view.key / "reconstruction"
    place.mkdir(parents=True)
    for one in view.objects:
        seen = one.shape.moved(T_cam_world)
        trimesh.Trimesh(seen.vertices_V3, seen.faces_F3, process=False).export(place / f"object_{one.instance_id}.ply")
    found = evaluate(Gen3dsrFolder.open("G", tmp_path, "in_place"), tiny_truth, JUDGE, Condition(), [view.key])
    assert all(one.scores.f_score > 99 for one in found.objects)


def test_nodes_that_fit_no_masks_fail_with_both_numbers(tmp_path, tiny_truth):
    trimesh.Scene([trimesh.creation.box()]).export(tmp_path / f"{tiny_truth.keys[0]}.glb")
    system = MidiFolder.open("MIDI", tmp_path, "similarity", 3)
    found = evaluate(system, tiny_truth, JUDGE, Condition(), [tiny_truth.keys[0]])
    assert all(one.outcome == "failed" and "holds 1 nodes for" in one.reason for one in found.objects)


def test_merged_masks_join_touching_neighbours_only_and_each_once(rng):
    ids = np.zeros((20, 40), int)
    ids[5:15, 2:10], ids[5:15, 10:18], ids[5:15, 19:22], ids[5:15, 34:39] = 3, 4, 5, 6
    pairs = pair_neighbours(ids, [3, 4, 5, 6], rng)
    assert pairs in ([(3, 4)], [(4, 5)], [(4, 3)])
    merged = merge_masks(ids, pairs)
    assert (merged == pairs[0][0]).sum() == np.isin(ids, pairs[0]).sum()
    assert pairs == pair_neighbours(ids, [3, 4, 5, 6], np.random.default_rng(0))


def test_merged_masks_cost_the_hull_more_than_separate_ones(tiny_truth):
    system = baseline("convex_hull", tiny_truth)
    separate = evaluate(system, tiny_truth, JUDGE, Condition(masks="pairs_separate"))
    merged = evaluate(system, tiny_truth, JUDGE, Condition("merged", masks="pairs_merged"))
    assert [one.target.members for one in separate.objects] == [one.target.members for one in merged.objects]
    assert len(merged.objects) > 0
    assert mean(merged, "f_score") < mean(separate, "f_score")


def test_the_official_fit_drops_outliers_that_least_squares_would_follow(rng):
    estimate = rng.uniform(1, 4, 3000)
    truth = 1.7 * estimate - 0.4 + rng.normal(0, 0.002, 3000)
    truth[:150] = 30
    scale, shift = affine_ransac(estimate, truth, np.random.default_rng(0))
    assert (scale, shift) == (pytest.approx(1.7, abs=0.01), pytest.approx(-0.4, abs=0.02))
    assert abs(np.polyfit(estimate, truth, 1)[1] + 0.4) > 1


def test_alpha_moves_depth_from_exact_to_estimated_in_equal_parts(tiny_truth):
    view = tiny_truth.view(tiny_truth.keys[0])
    none, half, full = (
        depth_for(view, tiny_truth, DepthChoice("simulated", "gt_affine", ratio), 0) for ratio in (0.0, 0.5, 1.0)
    )
    known = np.isfinite(full)
    np.testing.assert_allclose(none[known], view.depth_HW[known], rtol=1e-6)
    np.testing.assert_allclose(half[known], (none + full)[known] / 2, rtol=1e-6)
    assert np.abs(full - none)[known].mean() > 1e-3


def test_depth_without_metres_cannot_go_unaligned(tiny_truth):
    view = tiny_truth.view(tiny_truth.keys[0])
    with pytest.raises(UsageError, match="gives no metres"):
        depth_for(view, tiny_truth, DepthChoice("simulated", "none"), 0)


def test_a_third_party_folder_without_meshes_is_refused(tmp_path):
    with pytest.raises(UnexpectedLayout, match="a scene written by MIDI is missing"):
        MidiFolder.open("MIDI", tmp_path, "similarity", 3)
