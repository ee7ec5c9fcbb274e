import dataclasses
import pickle
import re
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from scenegen.contract.dataset import IMAGES, Dataset
from scenegen.contract.index import shard_name
from scenegen.contract.records import OPAQUE_IMAGES
from scenegen.contract.schema import table_schema
from scenegen.contract.validate import scene_problems, schema_problems, view_problems
from tests.conftest import with_glass, write_views


def test_views_are_numbered_over_the_shards(dataset_dir):
    dataset = Dataset.open(dataset_dir)
    keys = [(view.scene_index, view.view_index) for view in map(dataset.view, range(len(dataset)))]
    assert keys == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


def test_a_view_comes_back_as_it_was_written(dataset_dir, test_images):
    view = Dataset.open(dataset_dir).view(5)
    written = test_images(21)
    assert (view.rgb == written.rgb).all()
    assert (view.instance_id == written.instance_id).all()
    assert np.allclose(view.depth_m, written.depth_m, atol=1e-4, equal_nan=True)
    assert np.allclose(view.normal_cam, written.normal_cam, atol=1e-4, equal_nan=True)
    assert view.K_px[0, 0] == 40 and (view.T_world_cam == np.eye(4)).all()


def test_objects_of_a_view_carry_facts_identity_and_pose(dataset_dir):
    first, second = Dataset.open(dataset_dir).view(0).objects
    assert (first.instance_id, first.asset_uid, first.facts.visible_px) == (3, "asset/3", 64)
    assert second.facts.truncation == 1.0
    assert np.allclose(first.T_world_obj, np.diag([0.5, 0.5, 0.5, 1.0]))


def test_only_the_images_asked_for_are_decoded(dataset_dir):
    view = Dataset.open(dataset_dir).view(0, images=["depth_m"])
    assert view.rgb is None and view.depth_m is not None
    with pytest.raises(ValueError, match="choose from"):
        Dataset.open(dataset_dir).view(0, images=["colour"])


def test_a_row_group_holds_one_view(dataset_dir):
    metadata = pq.read_metadata(dataset_dir / shard_name("views", 0, 2))
    assert {metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)} == {1}


def test_scenes_are_found_by_their_index(dataset_dir):
    dataset = Dataset.open(dataset_dir)
    assert [dataset.scene(i).scene_index for i in (2, 0, 1)] == [2, 0, 1]
    assert [scene.scene_index for scene in dataset.scenes()] == [0, 1, 2]
    with pytest.raises(KeyError, match="scene 3"):
        dataset.scene(3)


def test_thin_columns_are_read_without_images(dataset_dir):
    dataset = Dataset.open(dataset_dir)
    assert "rgb" not in dataset.table("views").column_names
    visible = dataset.table("views", columns=["objects.visible_px"])
    assert visible["objects"][0].as_py() == [{"visible_px": 64}, {"visible_px": 0}]
    assert dataset.table("scenes", columns=["status"])["status"].to_pylist() == ["ok"] * 3


def test_instances_are_one_row_an_object_and_view(dataset_dir):
    rows = Dataset.open(dataset_dir).table("instances").to_pylist()
    assert len(rows) == 12
    assert (rows[3]["scene_index"], rows[3]["view_index"]) == (0, 1)
    assert rows[3]["asset_uid"] == "asset/4" and rows[2]["visible_px"] == 64


def test_a_dataset_travels_to_worker_processes(dataset_dir):
    dataset = Dataset.open(dataset_dir)
    dataset.view(0)
    copy = pickle.loads(pickle.dumps(dataset))
    assert (copy.view(3).rgb == dataset.view(3).rgb).all()


def test_an_unfinished_dataset_shows_its_finished_shards(dataset_dir):
    (dataset_dir / shard_name("views", 0, 2)).unlink()
    dataset = Dataset.open(dataset_dir)
    assert len(dataset) == 2 and dataset.view(0).scene_index == 2 and dataset.scene(2).status == "ok"


def test_an_empty_folder_says_how_to_fill_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="scenegen render"):
        Dataset.open(tmp_path)


def test_two_datasets_in_one_folder_are_refused(dataset_dir):
    shutil.copy(dataset_dir / shard_name("views", 0, 2), dataset_dir / shard_name("views", 0, 3))
    with pytest.raises(ValueError, match="keep one"):
        Dataset.open(dataset_dir)


def test_a_good_row_has_no_problems(dataset_dir):
    dataset = Dataset.open(dataset_dir)
    assert list(view_problems(dataset.view(0), dataset.scene(0))) == []
    assert list(scene_problems(dataset.scene(0))) == []


@pytest.mark.parametrize(
    ("field", "spoil", "sentence"),
    [
        ("instance_id", lambda a: np.where(a == 3, 9, a), "instances \\[9\\]"),
        ("depth_m", lambda a: np.where(np.isnan(a), 1, a), "depth without an id"),
        ("depth_m", lambda a: -a, "not positive"),
        ("normal_cam", lambda a: a * 2, "unit length"),
        ("rgb", lambda a: a[:-1], "rgb has shape"),
        ("T_world_cam", lambda a: a * 2, "rigid"),
    ],
)
def test_a_broken_promise_is_named(dataset_dir, field, spoil, sentence):
    dataset = Dataset.open(dataset_dir)
    view = dataset.view(0)
    broken = dataclasses.replace(view, **{field: spoil(getattr(view, field))})
    problems = " / ".join(view_problems(broken, dataset.scene(0)))
    assert re.search(sentence, problems), problems


def test_changed_conventions_are_noticed(dataset_dir):
    schema = table_schema("views")
    other = schema.set(7, schema.field(7).with_metadata({"doc": "ray length"}))
    assert list(schema_problems(schema, schema)) == []
    assert "depth" in next(schema_problems(other, schema))


def test_what_is_behind_glass_comes_back_beside_the_first_surface(dataset_dir, test_images):
    written = with_glass(test_images(0))
    dataset = write_views(dataset_dir, written, "both")
    view = dataset.view(0, [*IMAGES, *OPAQUE_IMAGES])
    assert dataset.transparent == "both" and (view.instance_id == written.instance_id).all()
    assert (view.instance_id_opaque == written.instance_id_opaque).all()
    assert np.allclose(view.depth_opaque_m, written.depth_opaque_m, atol=1e-4, equal_nan=True)
    assert np.allclose(view.normal_cam_opaque, written.normal_cam, atol=1e-4, equal_nan=True)
    assert list(view_problems(view, dataset.scene(0))) == []
    assert dataset.view(0).depth_opaque_m is None, "only what is asked for is read"
    assert "depth_opaque_step_m" in dataset.table("views").column_names
    nearer = dataclasses.replace(view, depth_opaque_m=view.depth_opaque_m - 2.0)
    assert "nearer than the first surface" in " / ".join(view_problems(nearer, dataset.scene(0)))


def test_a_dataset_without_opaque_columns_says_where_to_get_them(dataset_dir, test_images):
    with pytest.raises(ValueError, match=r"has no depth_opaque_m; .*scenegen render --render\.transparent both"):
        Dataset.open(dataset_dir).view(0, ["depth_opaque_m"])
    dataset = write_views(dataset_dir, test_images(0), "opaque")
    with pytest.raises(ValueError, match="shows opaque surfaces alone, so read depth_m"):
        dataset.view(0, ["depth_opaque_m"])
    assert np.isfinite(dataset.view(0, ["depth_m"]).depth_m).any()
