"""Baselines that know the training assets: the nearest one in place, and the mean shape."""

from pathlib import Path

import numpy as np
import pytest
from tiny_dataset import tables
from tiny_shapes import boxes, draw, shape

from pipelines.errors import PipelineError, UsageError
from pipelines.evaluate.cli import EvaluateCommand
from pipelines.evaluate.judging.evaluation import Condition, evaluate, prepare_view
from pipelines.evaluate.judging.judge import Judge
from pipelines.evaluate.judging.rules import Rules
from pipelines.evaluate.records.shapes import Shape
from pipelines.evaluate.records.systems import SceneInput
from pipelines.evaluate.systems.baselines import Baseline, visible_points
from pipelines.evaluate.systems.free_space import FreeSpace
from pipelines.evaluate.systems.mean_shape import MeanShape, mean_voxels
from pipelines.evaluate.systems.open_systems import open_training_assets
from pipelines.evaluate.systems.retrieval import Evidence, NearestAsset, floor_height
from pipelines.evaluate.systems.training_assets import TrainingAssets
from scenegen.contract.index import shard_name
from scenegen.contract.objects import ObjectGeometry, StepMeta
from scenegen.contract.voxels import surface_voxels
from scenegen.layout.cameras import look_at
from scenegen.shards.parquet import RowWriter

ID, SIZE_PX, FOCAL_PX = 3, 96, 105.0
L_SHAPE = ((0, 0, -0.3, 1, 0.7, 0.3), (-0.35, 0, 0.15, 0.3, 0.7, 0.6))  # a seat and a back
JUDGE = Judge(Rules(points=2000))


def asset(uid: str, *parts: tuple[float, ...], split: str = "train") -> ObjectGeometry:
    made = shape(boxes(*parts), 0)
    voxels = surface_voxels(made.vertices, made.faces)
    return ObjectGeometry(uid, "0" * 64, "CC0-1.0", split, made.vertices, made.faces, voxels)


def pose(yaw_rad: float, size: float, x: float, y: float, lowest: float) -> np.ndarray:
    """On the floor z = 0; lowest: of the canonical shape."""
    T = np.eye(4)
    T[:2, :2] = size * np.array([[np.cos(yaw_rad), -np.sin(yaw_rad)], [np.sin(yaw_rad), np.cos(yaw_rad)]])
    T[2, 2], T[:3, 3] = size, (x, y, -size * lowest)
    return T


def photograph(shown_asset: ObjectGeometry, T_world_obj: np.ndarray) -> SceneInput:
    """The asset on a floor, from one side and above."""
    floor = 3.0 * np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    world = np.concatenate([floor, Shape(shown_asset.vertices, shown_asset.faces).moved(T_world_obj).vertices_V3])
    faces = np.concatenate([[[0, 1, 2], [0, 2, 3]], shown_asset.faces + 4])
    owner = np.array([1] * 2 + [ID] * len(shown_asset.faces))
    T_world_cam = np.array(look_at((2.2, -1.6, 1.5), (0.0, 0.0, 0.2)))
    T_cam_world = np.linalg.inv(T_world_cam)
    K_px = np.array([[FOCAL_PX, 0, SIZE_PX / 2], [0, FOCAL_PX, SIZE_PX / 2], [0, 0, 1]])
    in_camera = world @ T_cam_world[:3, :3].T + T_cam_world[:3, 3]
    picture = draw(in_camera, faces, np.full((len(faces), 3), 0.5), owner, K_px, SIZE_PX)
    ids = np.maximum(picture.owner, 0).astype(np.uint16)
    return SceneInput("view", picture.rgba[..., :3], ids, (ID,), picture.depth, 0.0, K_px, T_world_cam)


@pytest.fixture(scope="module")
def chair() -> ObjectGeometry:
    return asset("chair", *L_SHAPE)


@pytest.fixture(scope="module")
def library(chair) -> list[ObjectGeometry]:
    return [
        asset("block", (0, 0, 0, 1, 0.7, 0.9)),
        chair,
        asset("plank", (0, 0, 0, 1, 0.7, 0.1)),
        asset("pole", (0, 0, 0, 0.1, 0.1, 1)),
    ]


def test_a_chair_seen_from_one_side_is_found_with_its_yaw_size_and_place(library, chair):
    for yaw_rad in (0.4, 1.9, 3.3, 5.2):
        T = pose(yaw_rad, 0.8, 0.1, -0.2, chair.vertices[:, 2].min())
        scene = photograph(chair, T)
        found, placed = NearestAsset.from_geometries(library).find(
            Evidence.of(scene, ID, visible_points(scene, ID).vertices_V3)
        )
        assert found.uid == "chair"
        rotated = np.rad2deg(placed.yaw_rad - yaw_rad + np.pi) % 360 - 180
        assert abs(rotated) < 6
        assert placed.scale == pytest.approx(0.8, rel=0.06)
        np.testing.assert_allclose(placed.shift_3, T[:3, 3], atol=0.05)


def test_the_nearest_asset_is_drawn_in_the_mean_colour_of_what_is_seen(library, chair):
    scene = photograph(chair, pose(0.4, 0.8, 0, 0, chair.vertices[:, 2].min()))
    made = NearestAsset.from_geometries(library)(scene, ID)
    assert made.is_surface and len(np.unique(made.colors_V3, axis=0)) == 1
    seen = scene.rgb_HW3[scene.mask(ID)].mean(axis=0)
    assert np.abs(made.colors_V3[0] - seen).max() <= 1


def test_known_assets_are_put_back_where_they_are_and_unknown_ones_are_not_known(tiny_data, tiny_truth):
    assets = TrainingAssets.open(tiny_data)
    system = Baseline("nearest", NearestAsset.from_geometries(assets))
    found = evaluate(system, tiny_truth, JUDGE, Condition())
    uids = {(key, one.instance_id): one.asset_uid for key in tiny_truth.keys for one in tiny_truth.view(key).objects}
    known = [one for one in found.objects if uids[one.key, one.target.members[0]] in assets.uids]
    unknown = [one for one in found.objects if one not in known]
    assert known and unknown and found.missing == 0
    assert np.mean([one.scores.f_score for one in known]) > 85
    assert max(one.scores.f_score for one in unknown) < 60  # pebble and table, of which six training shapes say little


def test_space_in_front_of_what_is_seen_is_empty_and_space_behind_it_is_not_known():
    depth_HW = np.full((40, 40), 5.0)
    ids = np.zeros((40, 40), np.uint16)
    ids[15:25, 15:25] = ID
    depth_HW[ids == ID] = 2.0
    K_px = np.array([[40.0, 0, 20], [0, 40, 20], [0, 0, 1]])
    scene = SceneInput("view", np.zeros((40, 40, 3), np.uint8), ids, (ID,), depth_HW, 0.0, K_px, np.eye(4))
    free = FreeSpace.of(scene, ID)

    def wrong(x: float, y: float, z: float) -> float:
        return float(free.intrusion(np.array([[[x, y, z]]]))[0])

    assert wrong(0, 0, 1.7) == pytest.approx(0.3)  # before its own surface: back by 0.3
    assert wrong(0, 0, 2.5) == 0  # behind it
    assert wrong(0.5, 0, 2.0) == pytest.approx(2 * 6 / 40, abs=0.06)  # beside the mask: 6 pixels aside
    assert wrong(1.5, 0, 4.9) == pytest.approx(0.1, abs=1e-5)  # shortly before the wall: back by 0.1
    assert wrong(5, 0, 2.0) == 0  # outside of the image
    assert wrong(0, 0, -1.0) > 1  # behind the camera


def test_the_floor_is_found_where_it_is_seen(chair):
    scene = photograph(chair, pose(0.4, 0.8, 0, 0, chair.vertices[:, 2].min()))
    assert floor_height(scene) == pytest.approx(0, abs=0.01)


def test_the_mean_shape_has_the_mean_number_of_voxels_and_no_heading(library):
    mean = mean_voxels(one.voxels for one in library)
    assert mean.sum() == round(np.mean([len(one.voxels) for one in library]))
    rotated = np.rot90(mean, axes=(0, 1))
    assert (mean & rotated).sum() / (mean | rotated).sum() > 0.95  # the last ring may be cut anywhere
    with pytest.raises(ValueError, match="no assets"):
        mean_voxels([])


def test_the_mean_of_balls_is_their_ball():
    centre = (np.stack(np.meshgrid(*[np.arange(64)] * 3, indexing="ij"), axis=-1) + 0.5) / 64 - 0.5
    shell = np.abs(np.linalg.norm(centre, axis=-1) - 0.4) < 0.01
    mean = mean_voxels([np.argwhere(shell)] * 2)
    assert np.linalg.norm(centre[mean], axis=1) == pytest.approx(0.4, abs=0.03)


def test_the_mean_shape_stands_on_the_lowest_visible_point_and_spans_what_is_seen(library, chair):
    scene = photograph(chair, pose(0.4, 0.8, 0.1, -0.2, chair.vertices[:, 2].min()))
    seen = visible_points(scene, ID).vertices_V3
    made = MeanShape.from_geometries(library)(scene, ID).vertices_V3
    np.testing.assert_allclose(made[:, 2].min(), seen[:, 2].min(), atol=1e-9)
    np.testing.assert_allclose(made[:, 2].max(), seen[:, 2].max(), atol=1e-9)
    towards = scene.T_world_cam[:2, 3] - seen[:, :2].mean(axis=0)
    towards /= np.linalg.norm(towards)
    assert (made[:, :2] @ towards).max() == pytest.approx((seen[:, :2] @ towards).max(), abs=0.05)
    across = np.array([-towards[1], towards[0]])
    assert np.ptp(made[:, :2] @ across) >= np.ptp(seen[:, :2] @ across) - 0.05


def test_neither_makes_anything_of_an_instance_without_depth(tiny_data, tiny_truth):
    view = tiny_truth.view(tiny_truth.keys[0])
    scene, targets = prepare_view(view, tiny_truth, Condition(), 0)
    blind = scene.instance_ids[0]
    scene.depth_HW[scene.mask(blind)] = np.nan
    for make in (NearestAsset.from_geometries, MeanShape.from_geometries):
        answer = Baseline("x", make(TrainingAssets.open(tiny_data))).complete(scene)
        objects, _ = JUDGE.view(view, answer, targets)
        assert (objects[0].outcome, objects[0].scores) == ("skipped", None)
        assert all(one.outcome == "completed" for one in objects[1:])
    tiny_truth._views.clear()  # this view's depth was written into


def test_only_assets_of_the_training_split_are_known(tiny_data):
    assets = TrainingAssets.open(tiny_data)
    assert set(assets.uids) == {f"tiny/{name}" for name in ("ball", "bench", "block", "chair", "corner", "stairs")}
    assert [one.asset_uid for one in assets] == list(assets.uids)


def test_tables_without_training_assets_say_what_to_name(tmp_path):
    schema = tables.object_schema(tables.OBJECTS, StepMeta(tables.OBJECTS, "x", "test"))
    with RowWriter(tmp_path / shard_name(tables.OBJECTS, 0, 1), schema) as writer:
        writer.write(tables.encode_geometry(asset("chair", *L_SHAPE, split="test")))
    with pytest.raises(PipelineError, match=r"none of the 1 assets of .* --baseline-assets DIR"):
        TrainingAssets.open(tmp_path)
    with pytest.raises(PipelineError, match="scenegen objects"):
        TrainingAssets.open(tmp_path / "nothing")


def test_training_assets_are_those_of_the_dataset_unless_named(tiny_data):
    def known(baseline: str, shards: Path | None = None) -> TrainingAssets | None:
        return open_training_assets(EvaluateCommand(baseline=(baseline,), shards=shards).options().baselines)

    assert known("convex_hull", tiny_data) is None
    assert len(known("mean_shape", tiny_data)) == 6
    with pytest.raises(UsageError, match="--baseline-assets DIR"):
        known("mean_shape")
