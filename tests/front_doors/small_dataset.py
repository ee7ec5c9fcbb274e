"""A dataset of one view: five spheres, which go by the names of assets of the starter pack."""

from pathlib import Path

import numpy as np
from spheres import spheres

from scenegen.assets import AssetLibrary, canonical_mesh
from scenegen.config import AssetsConfig
from scenegen.contract.index import shard_name
from scenegen.contract.objects import ObjectGeometry as Geometry
from scenegen.contract.objects import ObjectView as CleanView
from scenegen.contract.objects import StepMeta, encode_geometry, encode_object_view, object_schema
from scenegen.contract.records import ObjectFacts, Scene, SceneObject, ViewImages
from scenegen.contract.schema import ShardMeta, encode_scene, encode_view, table_schema
from scenegen.contract.voxels import surface_voxels
from scenegen.shards.parquet import RowWriter

META = ShardMeta("digest", 0, "0", "closed form", "none")
FIRST_ID = 3  # 1 and 2 are floor and wall


def asset_uids(count: int) -> list[str]:
    return sorted(AssetLibrary.open(AssetsConfig(split="all")).records)[:count]


def write_view(folder: Path) -> None:
    drawn = spheres()
    ids = np.where(drawn.ids_HW > 0, drawn.ids_HW + FIRST_ID - 1, 0).astype(np.uint16)
    normal = np.full((*ids.shape, 3), np.nan, np.float32)
    normal[ids > 0] = (0, 0, -1)
    images = ViewImages(drawn.rgb_HW3, drawn.depth_HW, ids, normal)
    numbers = range(FIRST_ID, FIRST_ID + len(drawn.centres_N3))
    row = encode_view(
        0, 0, drawn.camera.K_px, drawn.camera.T_world_cam, images, [_facts(ids, number) for number in numbers]
    )
    placed = []
    for number, uid, centre in zip(numbers, asset_uids(len(numbers)), drawn.centres_N3, strict=True):
        T_world_obj = np.diag([2 * drawn.radius] * 3 + [1.0])
        T_world_obj[:3, 3] = centre
        placed.append(SceneObject(number, uid, "0" * 64, "CC0-1.0", T_world_obj))
    scene = Scene(0, objects=tuple(placed), objects_requested=len(placed), licences=("CC0-1.0",))
    for table, batch in (("views", row), ("scenes", encode_scene(scene))):
        with RowWriter(folder / shard_name(table, 0, 1), table_schema(table, META)) as writer:
            writer.write(batch)


def _facts(ids: np.ndarray, number: int) -> ObjectFacts:
    mask = ids == number
    (top, bottom), (left, right) = (np.flatnonzero(mask.any(axis))[[0, -1]] for axis in (1, 0))
    box = (int(left), int(top), int(right) + 1, int(bottom) + 1)
    return ObjectFacts(number, int(mask.sum()), int(mask.sum()), 0.0, 0.0, 1, box, box)


def write_objects(folder: Path) -> None:
    uid = asset_uids(1)[0]
    mesh = canonical_mesh(uid)
    voxels = surface_voxels(mesh.vertices, mesh.faces)
    geometry = Geometry(uid, "0" * 64, "CC0-1.0", "train", mesh.vertices, mesh.faces, voxels)
    rgba, depth = np.zeros((16, 16, 4), np.uint8), np.full((16, 16), np.nan, np.float32)
    rgba[4:12, 4:12], depth[4:12, 4:12] = 255, 2.0
    view = CleanView(uid, "condition", 0, (16, 16), np.diag([20.0, 20, 1]), np.eye(4), rgba, depth, rgba[..., :3])
    for table, row in (("objects", encode_geometry(geometry)), ("objects_views", encode_object_view(view))):
        with RowWriter(
            folder / shard_name(table, 0, 1), object_schema(table, StepMeta(table, "digest", "0"))
        ) as writer:
            writer.write(row)
