"""What all tests share: one thread a process, Ray when it is asked for, and a small real dataset."""

import os

# Processes of tests run side by side, on networks that gain nothing from threads; spconv's CPU kernels race with more.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # read when NumPy and torch are loaded

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scenegen.contract.dataset import Dataset
from scenegen.contract.index import shard_name
from scenegen.contract.records import ObjectFacts, Scene, SceneObject, ViewImages
from scenegen.contract.schema import ShardMeta, encode_scene, encode_view, table_schema

pytest_plugins = ["tests.box_runs.fixtures"]

HEIGHT, WIDTH = 24, 32
META = ShardMeta("digest", 0, "0.1.0", "test images", "none")


def make_images(seed: int) -> ViewImages:
    """A floor with one square object in front of it, and background above."""
    rng = np.random.default_rng(seed)
    ids = np.zeros((HEIGHT, WIDTH), np.uint16)
    ids[6:] = 1
    ids[10:18, 5:13] = 3
    depth = np.where(ids == 3, 1.5, np.linspace(5, 2, HEIGHT)[:, None]).astype(np.float32)
    depth[ids == 0] = np.nan
    normal = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    normal[..., 2] = -1
    normal[ids == 0] = np.nan
    return ViewImages(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8), depth, ids, normal)


FACTS = (
    ObjectFacts(3, 64, 80, 0.2, 0.1, 1, (5, 10, 13, 18), (5, 8, 13, 18)),
    ObjectFacts(4, 0, 0, 0.0, 1.0, 0, (0, 0, 0, 0), (0, 0, 0, 0)),
)


def scene_record(index: int) -> Scene:
    pose = np.diag([0.5, 0.5, 0.5, 1.0])
    objects = tuple(SceneObject(i, f"asset/{i}", "00", "CC0-1.0", pose) for i in (3, 4))
    return Scene(index, objects=objects, objects_requested=2, placement_attempts=5, licences=("CC0-1.0",))


def with_glass(images: ViewImages, depth_m: float = 3.0) -> ViewImages:
    """The object of the test images made of glass: behind it is the floor, at this depth."""
    glass = images.instance_id == 3
    return dataclasses.replace(
        images,
        depth_opaque_m=np.where(glass, np.float32(depth_m), images.depth_m),
        instance_id_opaque=np.where(glass, 1, images.instance_id).astype(np.uint16),
        normal_cam_opaque=images.normal_cam,
    )


def write_views(folder: Path, images: ViewImages, transparent: str) -> Dataset:
    """A dataset of one view beside the scenes of the fixture."""
    meta = ShardMeta("digest", 0, "1", "test images", "none", transparent)
    row = encode_view(0, 0, np.array([[40, 0, 16], [0, 40, 12], [0, 0, 1.0]]), np.eye(4), images, FACTS)
    for table in ("views", "scenes"):
        (folder / shard_name(table, 1, 2)).unlink()
    table = pa.Table.from_batches([row]).replace_schema_metadata(meta.to_metadata())
    pq.write_table(table, folder / shard_name("views", 0, 2), row_group_size=1)
    return Dataset.open(folder)


@pytest.fixture
def test_images():
    """The images that view v of scene s was written with: test_images(10 * s + v)."""
    return make_images


@pytest.fixture
def dataset_dir(tmp_path: Path) -> Path:
    """Three scenes of two views, written with the contract's own functions: 0 and 1 in shard 0, 2 in shard 1."""
    for shard, scenes in enumerate([[0, 1], [2]]):
        K = np.array([[40, 0, WIDTH / 2], [0, 40, HEIGHT / 2], [0, 0, 1.0]])
        views = [encode_view(s, v, K, np.eye(4), make_images(10 * s + v), FACTS) for s in scenes for v in range(2)]
        rows = [encode_scene(scene_record(s)) for s in scenes]
        for table, batches in (("views", views), ("scenes", rows)):
            whole = pa.Table.from_batches(batches).replace_schema_metadata(META.to_metadata())
            assert whole.schema.equals(table_schema(table))
            pq.write_table(whole, tmp_path / shard_name(table, shard, 2), row_group_size=1)
    return tmp_path
