"""Scenes of one object in front of a floor, in rows as a worker would spool them."""

import numpy as np
import pyarrow as pa

from scenegen.config import CameraConfig, DatasetConfig
from scenegen.contract.records import ObjectFacts, Scene, SceneObject, ViewImages
from scenegen.contract.schema import ShardMeta, encode_view
from scenegen.contract.storage import Root
from scenegen.shards.spool import SceneRecord, write_scene

SIDE = 16
VIEWS = 2


def tiny_config(num_scenes: int = 5, scenes_per_shard: int = 2) -> DatasetConfig:
    camera = CameraConfig(num_views=VIEWS, resolution_px=SIDE)
    return DatasetConfig(num_scenes, scenes_per_shard=scenes_per_shard, renderer="boxes", camera=camera)


def meta_of(config: DatasetConfig) -> ShardMeta:
    return ShardMeta(config.digest, config.seed, "test", "boxes", "none")


def view_rows(scene_index: int) -> list[pa.RecordBatch]:
    rng = np.random.default_rng(scene_index)
    ids = np.ones((SIDE, SIDE), np.uint16)
    ids[4:8, 4:8] = 3
    normal = np.zeros((SIDE, SIDE, 3), np.float32)
    normal[..., 2] = -1.0
    K = np.array([[SIDE, 0, SIDE / 2], [0, SIDE, SIDE / 2], [0, 0, 1.0]])
    facts = [ObjectFacts(3, 16, 16, 0.0, 0.0, 1, (4, 4, 8, 8), (4, 4, 8, 8))]
    rows = []
    for view in range(VIEWS):
        rgb = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        depth = rng.uniform(1, 4, (SIDE, SIDE)).astype(np.float32)
        rows.append(encode_view(scene_index, view, K, np.eye(4), ViewImages(rgb, depth, ids, normal), facts))
    return rows


def good_scene(scene_index: int) -> Scene:
    import hashlib

    spec = f'{{"scene":{scene_index}}}'
    objects = (SceneObject(3, "asset/a", "00", "CC0-1.0", np.diag([0.5, 0.5, 0.5, 1.0])),)
    return Scene(
        scene_index,
        objects=objects,
        objects_requested=1,
        placement_attempts=3,
        licences=("CC0-1.0",),
        commercial_use=True,
        spec_json=spec,
        spec_sha256=hashlib.sha256(spec.encode()).hexdigest(),
    )


def spool_scene(root: Root, config: DatasetConfig, scene_index: int, failure: str = "") -> None:
    shard = scene_index // config.scenes_per_shard
    record = SceneRecord(1.0, 2.0, (), "host")
    if failure:
        failed = Scene(scene_index, status="failed", failure=failure)
        write_scene(root, meta_of(config), shard, failed, (), record)
    else:
        write_scene(root, meta_of(config), shard, good_scene(scene_index), view_rows(scene_index), record)
