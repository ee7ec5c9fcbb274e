"""Test sets in their own layouts, each written small as its files are documented, and what is said of wrong ones."""

import json
import pickle

import numpy as np
import pytest
import trimesh
from PIL import Image
from solids import box, sphere

from pipelines.complete.inputs.estimators import EstimatedDepth, choose_estimator
from pipelines.evaluate.files.checked import UnexpectedLayout
from pipelines.evaluate.judging.evaluation import Condition, evaluate
from pipelines.evaluate.judging.judge import Judge
from pipelines.evaluate.judging.rules import Rules
from pipelines.evaluate.records.options import DepthChoice
from pipelines.evaluate.systems.baselines import baseline
from pipelines.evaluate.truth.arsg import ArsgTruth
from pipelines.evaluate.truth.cameras import from_opengl, pinhole
from pipelines.evaluate.truth.estimated_depth import EstimatedDepthTruth
from pipelines.evaluate.truth.front3d import Front3dTruth, read_surface_points
from pipelines.evaluate.truth.gen3dsr import Gen3dsrTruth
from pipelines.evaluate.truth.scannet import ScanNetTruth, supplement_frames

SIZE, FOV = 48, 1.0
AFFINE, UNALIGNED = DepthChoice("moge2"), DepthChoice("moge2", "none")
T_WORLD_CAM_GL = np.array([[1.0, 0, 0, 0], [0, 0, -1, -3], [0, 1, 0, 0], [0, 0, 0, 1]])  # at y = -3, looking along +y


def picture_of(center, radius):
    """Ids and depth of a sphere of id 1, ray by ray, from the camera above."""
    K = pinhole((SIZE, SIZE), FOV)
    rows, columns = np.indices((SIZE, SIZE)) + 0.5
    rays = np.stack([(columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1], np.ones_like(rows)], axis=-1)
    T = from_opengl(T_WORLD_CAM_GL)
    middle = np.linalg.inv(T) @ [*center, 1]
    a, b = (rays**2).sum(-1), -2 * rays @ middle[:3]
    inside = b**2 - 4 * a * (middle[:3] @ middle[:3] - radius**2)
    depth = np.where(inside > 0, (-b - np.sqrt(inside.clip(0))) / (2 * a), np.nan)
    return (inside > 0).astype(np.uint8), depth.astype(np.float32)


def save(array, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def export(shape, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    trimesh.Trimesh(shape.vertices_V3, shape.faces_F3, process=False).export(path)


def check_visible_points_lie_on_the_truth(truth, rules):
    found = evaluate(baseline("visible_points", truth), truth, Judge(rules), Condition())
    assert found.views == 1
    points_on_surface = found.scenes[0].scores.precisions[0]
    assert points_on_surface == 100
    return found


@pytest.fixture
def arsg(tmp_path):
    ids, depth = picture_of((0.25, 0.0, 0.1), 0.4)
    folder = tmp_path / "test" / "sceneA"
    save(np.zeros((SIZE, SIZE, 3), np.uint8), folder / "000.png")
    save(np.where(ids, round(5 / 100 * 65535), 0).astype(np.uint16), folder / "000_index.png")
    codes = np.where(ids, (np.nan_to_num(depth) + 1) / 10 * 65535, 65535).round().astype(np.uint16)
    save(codes, folder / "000_depth.png")
    pose = {"sha256": "ab", "rand_scale": 0.8, "rand_trans": [-0.25, 0.0, -0.1], "rand_rot": [0, 0, 0.7]}
    frame = {
        "file_path": "000.png",
        "camera_angle_x": FOV,
        "transform_matrix": T_WORLD_CAM_GL.tolist(),
        "depth": {"min": -1.0, "max": 9.0},
    }
    (folder / "transforms.json").write_text(json.dumps({"frames": [frame], "instance": {"5": pose}}))
    export(sphere(0.5), tmp_path / "assets" / "ab" / "mesh.ply")
    return tmp_path


def test_the_official_own_set_is_read_with_its_minus_sign_and_its_camera(arsg):
    truth = ArsgTruth.open(arsg / "test", arsg / "assets", 5, 0.005, 0)
    found = check_visible_points_lie_on_the_truth(truth, Rules(points=4000))
    assert found.objects[0].target.members == (5,)
    assert found.objects[0].scores.precision == 100


class Twice:
    """Sees depth twice as far away as it is, and counts how often it was asked. Shaped as LoadedEstimator is."""

    def __init__(self, truth):
        self.facts, self.asked, self._truth = choose_estimator("moge2"), 0, truth

    def __call__(self, rgb, camera):
        self.asked += 1
        view = self._truth.view(self._truth.keys[0])
        np.testing.assert_array_equal(camera.K_px, view.K_px)
        return EstimatedDepth(2 * view.depth_HW, camera)


def test_a_set_without_estimated_depth_gets_it_from_an_estimator_and_asks_once_a_view(arsg):
    stored = ArsgTruth.open(arsg / "test", arsg / "assets", 5, 0.005, 0)
    estimator = Twice(stored)
    truth = EstimatedDepthTruth(stored, estimator)
    seen = evaluate(baseline("visible_points", truth), truth, Judge(Rules(points=4000)), Condition(depth=AFFINE))
    assert seen.objects[0].scores.precision == 100  # aligned to the exact depth, as the official scripts do
    off = evaluate(baseline("visible_points", truth), truth, Judge(Rules(points=4000)), Condition(depth=UNALIGNED))
    assert off.objects[0].scores.precision == 0  # behind where it is: nothing of the truth reached the system
    assert estimator.asked == 1


def test_an_asset_that_is_not_canonical_is_refused(arsg):
    export(sphere(0.9), arsg / "assets" / "ab" / "mesh.ply")
    truth = ArsgTruth.open(arsg / "test", arsg / "assets", 5, 0.005, 0)
    with pytest.raises(UnexpectedLayout, match=r"leaves \[-0.5, 0.5\]"):
        truth.view("sceneA")


def test_what_is_missing_is_named_with_what_is_there(arsg):
    (arsg / "test" / "sceneA" / "000_depth.png").unlink()
    truth = ArsgTruth.open(arsg / "test", arsg / "assets", 5, 0.005, 0)
    with pytest.raises(UnexpectedLayout, match=r"000_depth.png; .* holds 000.png, 000_index.png, transforms.json"):
        truth.view("sceneA")


@pytest.fixture
def front3d(tmp_path):
    OpenEXR = pytest.importorskip("OpenEXR")
    ids, depth = picture_of((0.0, 0.0, 0.0), 0.5)
    folder = tmp_path / "3D-FRONT-TEST-RENDER" / "house" / "room"
    save(np.zeros((SIZE, SIZE, 3), np.uint8), folder / "render_0000.webp")
    save(ids, folder / "semantic_0000.png")
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    far = np.where(np.isnan(depth), 1e10, depth).astype(np.float32)
    OpenEXR.File(header, {"V": far}).write(str(folder / "depth_0000.exr"))
    camera = {"transform_matrix": T_WORLD_CAM_GL.tolist(), "camera_angle_x": FOV}
    (folder / "meta.json").write_text(json.dumps({"locations": [camera]}))
    points = np.array(trimesh.creation.icosphere(5, 0.5).vertices)
    place = tmp_path / "3D-FRONT-TEST-SCENE" / "room"
    place.mkdir(parents=True)
    np.save(place / "sofa.npy", {"surface_points": points}, allow_pickle=True)
    (tmp_path / "midi_test_room_ids.json").write_text('["house/room"]')
    (tmp_path / "midi_test_furniture_ids.json").write_text('{"room": ["sofa"]}')
    return tmp_path


@pytest.mark.parametrize("frame", ["per_axis", "released"])
def test_midis_test_set_is_read_and_judged_by_either_reading(front3d, frame):
    truth = Front3dTruth.open(front3d, 0)
    found = check_visible_points_lie_on_the_truth(truth, Rules(frame, points=2000))
    assert found.objects[0].scores.chamfer > 0


def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return eval, ("1",)  # not print, in whose place Ray puts its own

    path = tmp_path / "evil.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(np.array(Evil(), object), file)
    with pytest.raises(UnexpectedLayout, match=r"wants to load builtins.eval"):
        read_surface_points(path)


def test_rooms_in_another_form_are_refused_with_what_was_found(front3d):
    (front3d / "midi_test_room_ids.json").write_text('{"a": 1}')
    with pytest.raises(UnexpectedLayout, match=r'must be a list of "<house>/<room>"'):
        Front3dTruth.open(front3d, 0)


def test_gen3dsrs_test_set_is_judged_as_whole_scenes_inside_the_image_frame(tmp_path):
    ids, depth = picture_of((0.0, 0.0, 0.0), 0.5)
    K = pinhole((SIZE, SIZE), FOV)
    (tmp_path / "scene_ids.json").write_text('["s1"]')
    (tmp_path / "annotation").mkdir()
    (tmp_path / "annotation" / "s1.json").write_text(json.dumps({"intrinsics": K.tolist()}))
    save(np.zeros((SIZE, SIZE, 3), np.uint8), tmp_path / "rgb" / "s1.png")
    save(ids, tmp_path / "gen3dsr_masks" / "s1.png")
    (tmp_path / "depth").mkdir()
    np.save(tmp_path / "depth" / "s1.npy", np.nan_to_num(depth))
    behind = box((1, 1, 1), (0, 0, -5.0))  # behind the camera: must be cut away
    front = sphere(0.5, (0, 0, 3.0))
    whole = trimesh.util.concatenate(
        [trimesh.Trimesh(s.vertices_V3, s.faces_F3, process=False) for s in (front, behind)]
    )
    (tmp_path / "sceneobjgt").mkdir()
    whole.export(tmp_path / "sceneobjgt" / "s1.ply")
    truth = Gen3dsrTruth.open(tmp_path, 0)
    rules = Rules(None, scene_points=5000, thresholds=(0.1, 0.01, 0.001), clip=True)
    found = check_visible_points_lie_on_the_truth(truth, rules)
    ceiling = evaluate(baseline("ground_truth", truth), truth, Judge(rules), Condition())
    assert ceiling.scenes[0].scores.f_scores[0] > 99.9
    assert ceiling.scenes[0].scores.chamfer < 0.05 < found.scenes[0].scores.chamfer  # with the box it would be metres


def test_the_supplements_fifteen_frames_come_with_the_package():
    frames = supplement_frames()
    assert len(frames) == len(set(frames)) == 15
    assert frames[0] == ("scene0048_00", 360) and frames[-1] == ("scene0129_00", 1441)


def test_scannets_layout_is_read_with_two_cameras_and_instances_of_the_scan(tmp_path):
    scene, frame = supplement_frames()[0]
    folder = tmp_path / scene
    ids, _ = picture_of((0.0, 0.0, 0.0), 0.5)
    save(np.zeros((SIZE, SIZE, 3), np.uint8), folder / "color" / f"{frame}.jpg")
    save((ids * 2).astype(np.uint8), folder / "instance-filt" / f"{frame}.png")
    _write_scannet_cameras_and_depth(folder, frame)
    ball, floor = sphere(0.5), box((4, 4, 0.1), (0, 0, -1.0))
    vertices = np.concatenate([floor.vertices_V3, ball.vertices_V3])
    faces = np.concatenate([floor.faces_F3, ball.faces_F3 + len(floor.vertices_V3)])
    trimesh.Trimesh(vertices, faces, process=False).export(folder / f"{scene}_vh_clean_2.ply")
    segments = [7] * len(floor.vertices_V3) + [9] * len(ball.vertices_V3)
    (folder / f"{scene}_vh_clean_2.0.010000.segs.json").write_text(json.dumps({"segIndices": segments}))
    groups = [{"objectId": 0, "label": "floor", "segments": [7]}, {"objectId": 1, "label": "chair", "segments": [9]}]
    (folder / f"{scene}.aggregation.json").write_text(json.dumps({"segGroups": groups}))
    truth = ScanNetTruth.open(tmp_path, 1)
    found = check_visible_points_lie_on_the_truth(truth, Rules(points=4000, clip=True))
    assert [one.target.members for one in found.objects] == [(2,)]


def _write_scannet_cameras_and_depth(folder, frame):
    """Depth of half the size, in millimetres, with its own intrinsics."""
    K = pinhole((SIZE, SIZE), FOV)
    half = np.diag([0.5, 0.5, 1]) @ K
    for name, matrix in (("color", K), ("depth", half)):
        (folder / "intrinsic").mkdir(exist_ok=True)
        np.savetxt(folder / "intrinsic" / f"intrinsic_{name}.txt", np.block([[matrix, np.zeros((3, 1))], [0, 0, 0, 1]]))
    (folder / "pose").mkdir()
    np.savetxt(folder / "pose" / f"{frame}.txt", from_opengl(T_WORLD_CAM_GL))
    _, depth = picture_of((0.0, 0.0, 0.0), 0.5)
    save(np.nan_to_num(depth[::2, ::2] * 1000).round().astype(np.uint16), folder / "depth" / f"{frame}.png")


def test_scannet_that_is_not_there_names_the_first_frame_that_is_missing(tmp_path):
    with pytest.raises(UnexpectedLayout, match=r"scene0048_00/color/360.jpg"):
        ScanNetTruth.open(tmp_path, 0)
