"""Equal to the official scripts on the same points. METRIC_FIXTURES names a folder with other seeds."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from pipelines.evaluate.metrics.distances import neighbours, point_scores
from pipelines.evaluate.metrics.frames import normalised_as_released, normalised_per_axis, pose_matrix, to_canonical
from pipelines.evaluate.metrics.frustum import clip_to_frustum, side_planes
from pipelines.evaluate.metrics.overlap import box_iou, voxel_iou_batch
from pipelines.evaluate.truth.selection import ids_of_index_png, largest_instances, midi_labels

FOLDER = Path(os.environ.get("METRIC_FIXTURES", Path(__file__).parent / "fixtures"))
CASES = json.loads((FOLDER / "metrics.json").read_text())["cases"]
ARRAYS = load_file(FOLDER / "metrics.safetensors")
BORDER = 1e-5  # a distance this close to the threshold may fall on either side of it


def cases(*kinds):
    return pytest.mark.parametrize("name", [name for name, case in CASES.items() if case["kind"] in kinds])


def given(case: str, name: str) -> np.ndarray:
    return ARRAYS[f"{case}/in.{name}"]


def expected(case: str, name: str) -> np.ndarray:
    return ARRAYS[f"{case}/out.{name}"]


def clouds(case: str, name: str) -> np.ndarray:
    parts = sorted(
        (key for key in ARRAYS if key.startswith(f"{case}/in.{name}.")), key=lambda key: int(key.split(".")[-1])
    )
    return np.concatenate([ARRAYS[key] for key in parts])


def check_points(
    case: str, truth: np.ndarray, pred: np.ndarray, threshold: float = 0.1, prefix: str = "", suffix: str = ""
):
    found = neighbours(truth, pred)
    if not prefix:
        np.testing.assert_allclose(found.to_pred_N, expected(case, "dist_gt_to_pred"), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.to_truth_M, expected(case, "dist_pred_to_gt"), rtol=1e-5, atol=1e-6)
    scores = point_scores(found, threshold)
    near = CASES[case].get("min_distance_to_threshold", 0) < BORDER or prefix
    # Two points may flip where a distance lies on the threshold, as a float32 search would flip them.
    slack = 2 * 100 / min(len(truth), len(pred)) if near and "threshold" not in case else 1e-6
    np.testing.assert_allclose(scores.chamfer, expected(case, prefix + "Chamfer"), rtol=1e-5, atol=2e-7)
    for name, value in (("Precision", scores.precision), ("Recall", scores.recall), ("F1", scores.f_score)):
        np.testing.assert_allclose(value, expected(case, prefix + name + suffix), atol=slack, err_msg=name)


def test_the_folder_has_cases_of_every_kind():
    kinds = {case["kind"] for case in CASES.values()}
    assert kinds == {"ours_object", "midi_object", "scene", "iou", "gen3dsr", "frustum", "select_ours", "select_midi"}


@cases("ours_object")
def test_objects_of_the_own_set_are_compared_in_their_canonical_frame(name):
    truth, pred = given(name, "gt"), given(name, "pred")
    params = CASES[name]["params"]
    T_world_obj = pose_matrix(given(name, "translation"), params["scale"], params["yaw"])
    assert box_iou(truth, pred) == pytest.approx(float(expected(name, "IoU")), abs=1e-6)
    check_points(name, to_canonical(truth, T_world_obj), to_canonical(pred, T_world_obj))


@cases("midi_object")
def test_objects_of_midi_are_compared_as_released_and_as_meant(name):
    truth, pred = given(name, "gt"), given(name, "pred")
    assert box_iou(truth, pred) == pytest.approx(float(expected(name, "IoU")), abs=1e-6)
    check_points(name, normalised_as_released(truth), normalised_as_released(pred))
    check_points(name, normalised_per_axis(truth), normalised_per_axis(pred), prefix="per_axis_")


@cases("scene")
def test_a_scene_is_the_union_of_its_objects_and_missing_ones_cost_recall(name):
    check_points(name, clouds(name, "gt"), clouds(name, "pred"))


@cases("iou")
def test_boxes_and_voxels_overlap_as_in_the_scripts(name):
    truth, pred = given(name, "gt"), given(name, "pred")
    boxes = [box_iou(one, other) for one, other in zip(truth, pred, strict=True)]
    np.testing.assert_allclose(boxes, expected(name, "iou_bbox"), atol=1e-6)
    for key in (key for key in ARRAYS if key.startswith(f"{name}/out.iou_pcd")):
        options = key.rpartition("iou_pcd")[2]  # "" or such as "_v0.1_g16"
        voxel, grid = (float(options.split("_")[1][1:]), int(options.split("_")[2][1:])) if options else (0.05, 64)
        np.testing.assert_allclose(voxel_iou_batch(truth, pred, voxel, grid), ARRAYS[key], atol=1e-6, err_msg=key)


@cases("gen3dsr")
def test_scenes_of_gen3dsr_are_scored_at_three_thresholds(name):
    for threshold in CASES[name]["params"]["thresholds"]:
        check_points(name, given(name, "gt"), given(name, "pred"), threshold, suffix=f"@{threshold}")


@cases("frustum")
def test_meshes_are_cut_by_the_sides_of_the_frustum_only(name):
    K_px, params = given(name, "K"), CASES[name]["params"]
    size_px = (params["width"], params["height"])
    _check_same_half_spaces(side_planes(K_px, size_px), expected(name, "planes"))
    count = sum(key.startswith(f"{name}/in.v.") for key in ARRAYS)
    pieces = [clip_to_frustum(given(name, f"v.{i}"), given(name, f"f.{i}"), K_px, size_px) for i in range(count)]
    area = sum(_area(vertices[faces]) for vertices, faces in pieces)
    seen = np.concatenate([vertices[np.unique(faces)] for vertices, faces in pieces if len(faces)])
    assert area == pytest.approx(float(expected(name, "area")), rel=1e-5)
    np.testing.assert_allclose([seen.min(0), seen.max(0)], expected(name, "bounds"), atol=1e-5)


@cases("select_ours")
def test_the_largest_instances_are_judged(name):
    ids = ids_of_index_png(given(name, "index_png"))
    for key in (key for key in ARRAYS if key.startswith(f"{name}/out.top")):
        count = int(key.rpartition("top")[2])
        assert largest_instances(ids, count) == ARRAYS[key].tolist()


@cases("select_midi")
def test_midi_judges_labels_above_half_a_percent_of_the_resized_image(name):
    labels, valid = given(name, "labels"), expected(name, "valid")
    kept = midi_labels(labels)
    assert kept == (np.flatnonzero(valid) + 1).tolist()
    assert sum(int((labels == label).sum()) for label in kept) == int(expected(name, "foreground_pixels")[0])


def _area(corners_F33: np.ndarray) -> float:
    edges = corners_F33[:, 1:] - corners_F33[:, :1]
    return float(np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1).sum() / 2)


def _check_same_half_spaces(ours: np.ndarray, theirs: np.ndarray):
    def rows(planes):
        normals = planes[:, 3:] / np.linalg.norm(planes[:, 3:], axis=1, keepdims=True)
        offsets = (normals * planes[:, :3]).sum(axis=1, keepdims=True)
        return np.concatenate([normals, offsets], axis=1)

    gaps = np.abs(rows(ours)[:, None] - rows(theirs)[None]).max(axis=-1)
    assert gaps.min(axis=1).max() < 1e-5 and gaps.min(axis=0).max() < 1e-5
