"""What is known of an asset survives the trip through a shard, and is found by uid."""

import dataclasses
import pickle

import numpy as np
import pytest

from scenegen.contract import objects
from scenegen.contract.index import shard_name
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.objects import ObjectGeometry, ObjectLatents, ObjectView, StepMeta, VoxelFeatures
from scenegen.shards.parquet import RowWriter

META = StepMeta("any", "digest", "1", {"views": 2})


def sorted_voxels(rng, count):
    codes = np.sort(rng.choice(64**3, count, replace=False))
    return np.stack(np.unravel_index(codes, (64, 64, 64)), 1).astype(np.uint8)


def make_asset(uid, seed):
    rng = np.random.default_rng(seed)
    voxels = sorted_voxels(rng, 50 + seed)
    geometry = ObjectGeometry(
        uid,
        "0" * 64,
        "CC0-1.0",
        "train",
        rng.uniform(-0.5, 0.5, (20, 3)).astype(np.float32),
        rng.integers(0, 20, (30, 3)).astype(np.int32),
        voxels,
    )
    rgba = rng.integers(0, 256, (16, 24, 4), np.uint8)
    rgba[rgba[..., 3] == 0] = 0
    depth = np.where(rgba[..., 3] > 0, rng.uniform(1, 3, (16, 24)), np.nan).astype(np.float32)
    views = [
        ObjectView(uid, kind, index, (24, 16), np.diag([20.0, 20, 1]), np.eye(4), rgba, depth, rgba[:8, :8, :3])
        for kind, count in (("condition", 2), ("feature", 3))
        for index in range(count)
    ]
    features = VoxelFeatures(uid, rng.normal(size=(len(voxels), 5)).astype(np.float16), np.ones(len(voxels), np.uint16))
    latents = [
        ObjectLatents(uid, index, np.eye(4), voxels, rng.normal(size=(len(voxels), 8)).astype(np.float32))
        for index in range(3)
    ]
    return geometry, views, features, latents


def write(folder, table, shard, rows):
    with RowWriter(folder / shard_name(table, shard, 2), objects.object_schema(table, META)) as writer:
        for row in rows:
            writer.write(row)


@pytest.fixture(scope="module")
def assets():
    return {uid: make_asset(uid, number) for number, uid in enumerate(["a/one", "b/two", "c/three", "d/four"])}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, assets):
    folder = tmp_path_factory.mktemp("objects")
    made = list(assets.values())
    for shard, part in enumerate([made[:2], made[2:]]):
        write(folder, "objects", shard, [objects.encode_geometry(geometry) for geometry, *_ in part])
        write(folder, "objects_views", shard, [objects.encode_object_view(v) for _, views, *_ in part for v in views])
        write(folder, "objects_features_small", shard, [objects.encode_features(features) for *_, features, _ in part])
        write(folder, "objects_latents_ours", shard, [objects.encode_latents(one) for *_, ones in part for one in ones])
    return folder


def assert_equal(found, wanted):
    for field in dataclasses.fields(wanted):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(wanted, field.name))


def test_every_row_comes_back_by_uid(folder, assets):
    dataset = pickle.loads(pickle.dumps(ObjectDataset.open(folder)))
    assert dataset.uids() == tuple(assets)
    assert (dataset.extractors, dataset.encoders) == (("small",), ("ours",))
    assert dataset.meta("objects_views") == META
    for uid, (geometry, views, features, latents) in assets.items():
        assert_equal(dataset.geometry(uid), geometry)
        assert_equal(dataset.features(uid, "small"), features)
        assert (dataset.num_views(uid, "condition"), dataset.num_views(uid, "feature")) == (2, 3)
        for view in views:
            found = dataset.view(uid, view.kind, view.view_index)
            np.testing.assert_allclose(found.depth, view.depth, atol=1e-4)
            assert_equal(dataclasses.replace(found, depth=view.depth), view)
        for one in latents:
            assert_equal(dataset.latents(uid, "ours", one.rotation_index), one)
    assert dataset.view("a/one", "feature", 0, ["rgba"]).depth is None


def test_what_is_not_there_is_named(folder):
    dataset = ObjectDataset.open(folder)
    for uid in ("", "b/twp", "zzz"):
        with pytest.raises(KeyError, match="has no"):
            dataset.geometry(uid)
    with pytest.raises(KeyError, match="feature"):
        dataset.view("a/one", "feature", 99)
    with pytest.raises(FileNotFoundError, match="scenegen objects"):
        dataset.features("a/one", "dinov2")
    with pytest.raises(FileNotFoundError, match="scenegen objects"):
        ObjectDataset.open(folder / "nothing")


def test_unsorted_voxels_are_refused(assets):
    geometry = assets["a/one"][0]
    with pytest.raises(ValueError, match="sorted"):
        objects.encode_geometry(dataclasses.replace(geometry, voxels=geometry.voxels[::-1]))
