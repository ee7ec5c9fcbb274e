"""A dataset whose ids, depth and facts are cast from the very meshes of its assets: exact, and made in milliseconds."""

import json
import math
from pathlib import Path

import numpy as np

from scenegen.assets import AssetLibrary
from scenegen.config import AssetsConfig
from scenegen.contract.index import shard_name
from scenegen.contract.records import Scene, SceneObject, ViewImages
from scenegen.contract.schema import ShardMeta, encode_scene, encode_view, table_schema
from scenegen.layout.facts import object_facts
from scenegen.layout.spec import (
    CameraSpec,
    LightSpec,
    MaterialSpec,
    PlacedObject,
    RoomSpec,
    SamplingStats,
    SceneSpec,
    ViewSpec,
    WallSpec,
)
from scenegen.layout.visibility import SceneCaster
from scenegen.shards.parquet import RowWriter

SIZE_PX = (64, 48)  # not square, so that no axis can be taken for the other
UIDS = ("blendswap-cc0-ammo-box", "blendswap-cc0-armchair", "blendswap-cc0-antique-chair")
META = ShardMeta("digest", 0, "0", "cast", "none")


def library() -> AssetLibrary:
    return AssetLibrary.open(AssetsConfig(split="all"))


def look_at_origin(x: float, y: float, z: float) -> CameraSpec:
    position = np.array([x, y, z])
    forward = -position / np.linalg.norm(position)
    right = np.cross(forward, [0.0, 0, 1])
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    T[:3, 3] = position
    return CameraSpec(tuple(map(tuple, T.tolist())), math.radians(32), SIZE_PX)


def scene_spec(index: int) -> SceneSpec:
    plain = MaterialSpec("plain", 0)
    room = RoomSpec(7.5, -0.5, 7.5, plain, (WallSpec("x-", plain), WallSpec("y+", plain)))
    objects = (
        PlacedObject(3, UIDS[0], 0.9, 0.3, (0.6, -0.6, -0.2)),
        PlacedObject(5, UIDS[1], 1.4 - 0.2 * index, 2.0, (0.0, 0.0, 0.25)),
        PlacedObject(6, UIDS[2], 1.1, -1.0, (-1.2, 0.9, 0.1)),
        PlacedObject(7, UIDS[0], 0.5, 0.0, (30.0, 0.0, 0.0)),  # in no view
    )
    views = (ViewSpec(look_at_origin(3.0, -2.0, 1.2)), ViewSpec(look_at_origin(1.0, -2.6, 0.9 + 0.2 * index)))
    return SceneSpec(0, index, room, LightSpec("", 0.0, 1.0), objects, views, SamplingStats(4, 4))


def write_dataset(folder: Path, scenes: int) -> None:
    assets, rng = library(), np.random.default_rng(0)
    with (
        RowWriter(folder / shard_name("views", 0, 1), table_schema("views", META)) as views,
        RowWriter(folder / shard_name("scenes", 0, 1), table_schema("scenes", META)) as rows,
    ):
        for spec in map(scene_spec, range(scenes)):
            caster = SceneCaster.of(spec, assets)
            for number, seen in enumerate(spec.views):
                ids, depth = caster.view(seen)
                normal = np.where(ids[..., None] > 0, np.float32([0.6, 0.0, -0.8]), np.float32(np.nan))
                rgb = rng.integers(0, 256, (*ids.shape, 3), dtype=np.uint8)
                facts = object_facts(spec, number, ids, caster)
                images = ViewImages(rgb, depth, ids, normal)
                camera = seen.camera
                views.write(encode_view(spec.scene_index, number, camera.K_px, camera.matrix_world, images, facts))
            placed = tuple(
                SceneObject(o.instance_id, o.asset_uid, assets.records[o.asset_uid].sha256, "CC0-1.0", o.T_world_obj)
                for o in spec.objects
            )
            rows.write(encode_scene(Scene(spec.scene_index, objects=placed, spec_json=spec.to_json())))
    (folder / "config.json").write_text(json.dumps({"config": {"assets": {"split": "train"}}}))
