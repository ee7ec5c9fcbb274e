"""A whole dataset in seconds: scenes of small shapes on a floor, wrong depth, and every objects table.

    python tests/train/tiny_dataset.py FOLDER

Six assets are of the split train, two of val. Estimator "simulated" (it is off by a scale, a bend and some noise),
extractor "tiny" (position and colour), latents "tiny" (a fixed linear map of the features). Drawn by tiny_shapes.py,
not by Blender: it is for tests of the machinery.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent))

from tiny_shapes import Picture, Shape, draw, tiny_shapes

from scenegen.annotate.alignment import align_image, align_instances, masked_errors
from scenegen.contract import objects as tables
from scenegen.contract.crops import object_crop
from scenegen.contract.index import shard_name
from scenegen.contract.objects import ObjectGeometry, ObjectLatents, ObjectView, StepMeta, VoxelFeatures
from scenegen.contract.records import ObjectFacts, Scene, SceneObject, ViewImages
from scenegen.contract.schema import ShardMeta, encode_scene, encode_view, table_schema
from scenegen.contract.sidecar import DepthEstimate, EstimatorMeta, encode_estimate, sidecar_schema
from scenegen.contract.voxels import surface_voxels
from scenegen.layout.cameras import look_at
from scenegen.layout.clean_cameras import clean_cameras
from scenegen.objects.networks.rotations import rotated, uniform_rotations
from scenegen.shards.parquet import RowWriter

FIRST_ID = 3
VAL_ASSETS = ("tiny/pebble", "tiny/table")
EXTRACTOR = LATENTS = "tiny"
FEATURE_CHANNELS = 16
META = ShardMeta("tiny", 0, "test", "tiny shapes", "none")
DEPTH_META = EstimatorMeta("simulated", "depth", False, "scale", "none", "", "", "CC0-1.0", "CC0-1.0", True)


@dataclass(frozen=True)
class TinySizes:
    """How much is made. view_px: of scenes; clean_px: of clean views; crop_px: of their crops."""

    scenes: int = 4
    views: int = 2
    objects: int = 4
    view_px: int = 96
    clean_px: int = 64
    crop_px: int = 64
    condition_views: int = 3
    feature_views: int = 6
    rotations: int = 3


def write_tiny_dataset(folder: Path, sizes: TinySizes = TinySizes()) -> Path:
    """Two shards of views, sidecars and objects; returns the folder."""
    shapes = tiny_shapes()
    scenes = [_scene(index, list(shapes), sizes.objects) for index in range(sizes.scenes)]
    half = (len(scenes) + 1) // 2
    for shard, part in enumerate((scenes[:half], scenes[half:])):
        rows = [row for scene in part for row in _view_rows(scene, shapes, sizes)]
        _write(folder, "views", shard, table_schema("views", META), (view for view, _ in rows))
        _write(folder, "depth_simulated", shard, sidecar_schema(DEPTH_META, META.config_digest), (e for _, e in rows))
        _write(folder, "scenes", shard, table_schema("scenes", META), map(encode_scene, part))
    names = list(shapes)
    for shard, uids in enumerate((names[: len(names) // 2], names[len(names) // 2 :])):
        _write_objects(folder, shard, {uid: shapes[uid] for uid in uids}, sizes)
    return folder


def _write(folder: Path, table: str, shard: int, schema: pa.Schema, rows: Iterable[pa.RecordBatch]) -> None:
    with RowWriter(folder / shard_name(table, shard, 2), schema) as writer:
        for row in rows:
            writer.write(row)


def _scene(index: int, uids: list[str], count: int) -> Scene:
    """Objects of half a metre to one, around the middle of the floor z = -0.5, turned about z; they may touch."""
    rng = np.random.default_rng([1, index])
    placed = []
    for number, uid in enumerate(rng.choice(uids, count, replace=False)):
        yaw, size, angle = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.0), 2 * np.pi * (number + rng.random()) / count
        T = np.eye(4)
        T[:2, :2] = size * np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
        T[2, 2] = size
        T[:3, 3] = 0.75 * np.cos(angle), 0.75 * np.sin(angle), size / 2 - 0.5
        placed.append(SceneObject(FIRST_ID + number, str(uid), "0" * 64, "CC0-1.0", T))
    return Scene(index, objects=tuple(placed), objects_requested=count, placement_attempts=count, licences=("CC0-1.0",))


def _view_rows(
    scene: Scene, shapes: dict[str, Shape], sizes: TinySizes
) -> Iterable[tuple[pa.RecordBatch, pa.RecordBatch]]:
    for view in range(sizes.views):
        rng = np.random.default_rng([2, scene.scene_index, view])
        azimuth = rng.uniform(0, 2 * np.pi)
        T_world_cam = look_at((2.6 * np.cos(azimuth), 2.6 * np.sin(azimuth), rng.uniform(0.6, 1.4)), (0.0, 0.0, -0.2))
        focal = sizes.view_px * 1.1
        K = np.array([[focal, 0, sizes.view_px / 2], [0, focal, sizes.view_px / 2], [0, 0, 1]])
        whole = _picture(scene, shapes, T_world_cam, K, sizes.view_px, scene.objects)
        images = _images(whole)
        facts = tuple(
            _facts(one.instance_id, images.instance_id, _picture(scene, shapes, T_world_cam, K, sizes.view_px, [one]))
            for one in scene.objects
        )
        row = encode_view(scene.scene_index, view, K, T_world_cam, images, facts)
        yield row, _estimate(scene.scene_index, view, images, rng)


def _picture(scene: Scene, shapes: dict[str, Shape], T_world_cam, K, size_px: int, shown) -> Picture:
    """The objects that are shown, and the floor when it is all of them."""
    floor = 2.5 * np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) - [0, 0, 0.5]
    everything = len(shown) == len(scene.objects)
    vertices, faces = [floor], [np.array([[0, 1, 2], [0, 2, 3]][: 2 * everything], int).reshape(-1, 3)]
    colours, owner = [np.full((len(faces[0]), 3), 0.6)], [np.ones(len(faces[0]), int)]
    for one in shown:
        asset = shapes[one.asset_uid]
        faces.append(asset.faces + sum(map(len, vertices)))
        vertices.append(asset.vertices @ one.T_world_obj[:3, :3].T + one.T_world_obj[:3, 3])
        colours.append(asset.colours)
        owner.append(np.full(len(asset.faces), one.instance_id))
    T_cam_world = np.linalg.inv(T_world_cam)
    in_camera = np.concatenate(vertices) @ T_cam_world[:3, :3].T + T_cam_world[:3, 3]
    return draw(in_camera, np.concatenate(faces), np.concatenate(colours), np.concatenate(owner), K, size_px)


def _images(picture: Picture) -> ViewImages:
    ids = np.maximum(picture.owner, 0).astype(np.uint16)
    normal = np.where((ids > 0)[..., None], np.array([0, 0, -1.0]), np.nan).astype(np.float32)  # no test looks at them
    rgb = np.where(picture.rgba[..., 3:] > 0, picture.rgba[..., :3], [190, 210, 255]).astype(np.uint8)
    return ViewImages(rgb, picture.depth, ids, normal)


def _facts(instance_id: int, ids: np.ndarray, alone: Picture) -> ObjectFacts:
    visible, amodal = ids == instance_id, alone.owner == instance_id
    occlusion = 1 - visible.sum() / amodal.sum() if amodal.any() else 0.0
    counts = int(visible.sum()), int(amodal.sum()), float(occlusion), 0.0, int(visible.any())
    return ObjectFacts(instance_id, *counts, _box(visible), _box(amodal))


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return (0, 0, 0, 0)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def _estimate(scene: int, view: int, images: ViewImages, rng: np.random.Generator) -> pa.RecordBatch:
    height, width = images.depth_m.shape
    x, y = np.meshgrid(np.linspace(0, 3, width), np.linspace(0, 3, height))
    bend = 1 + 0.03 * np.sin(x + rng.uniform(0, 6)) * np.sin(y + rng.uniform(0, 6))
    wrong = (images.depth_m * bend * rng.uniform(0.5, 2) * (1 + rng.normal(0, 0.003, x.shape))).astype(np.float32)
    valid = np.isfinite(wrong)
    alignment = align_image(wrong, images.depth_m, valid, "scale", rng)
    assert alignment is not None
    aligned = alignment.apply(wrong)
    instances = align_instances(aligned, images.depth_m, images.instance_id, valid)
    errors = masked_errors(aligned, images.depth_m, valid)
    row = DepthEstimate(
        scene, view, "simulated", "depth", False, wrong, alignment=alignment, errors=errors, instances=instances
    )
    return encode_estimate(row, 1.0)


def _write_objects(folder: Path, shard: int, shapes: dict[str, Shape], sizes: TinySizes) -> None:
    geometries = [_geometry(uid, shape) for uid, shape in shapes.items()]
    views = [view for uid, shape in shapes.items() for view in _clean_views(uid, shape, sizes)]
    latents = [one for geometry in geometries for one in _latents(geometry, sizes.rotations)]
    named = (
        (tables.OBJECTS, map(tables.encode_geometry, geometries)),
        (tables.VIEWS, map(tables.encode_object_view, views)),
        (tables.FEATURES_PREFIX + EXTRACTOR, (tables.encode_features(_features(each)) for each in geometries)),
        (tables.LATENTS_PREFIX + LATENTS, map(tables.encode_latents, latents)),
    )
    for table, rows in named:
        _write(folder, table, shard, tables.object_schema(table, StepMeta(table, "tiny", "test")), rows)


def _geometry(uid: str, shape: Shape) -> ObjectGeometry:
    voxels = surface_voxels(shape.vertices, shape.faces)
    split = "val" if uid in VAL_ASSETS else "train"
    return ObjectGeometry(uid, "0" * 64, "CC0-1.0", split, shape.vertices, shape.faces, voxels)


def _clean_views(uid: str, shape: Shape, sizes: TinySizes) -> Iterable[ObjectView]:
    for kind, count in (("condition", sizes.condition_views), ("feature", sizes.feature_views)):
        for index, camera in enumerate(clean_cameras(kind, count, sizes.clean_px, 0, uid)):
            T_cam_obj = np.linalg.inv(camera.matrix_world)
            in_camera = shape.vertices @ T_cam_obj[:3, :3].T + T_cam_obj[:3, 3]
            owner = np.zeros(len(shape.faces), int)
            picture = draw(in_camera, shape.faces, shape.colours, owner, camera.K_px, sizes.clean_px)
            crop = object_crop(picture.rgba, sizes.crop_px) if kind == "condition" else None
            pose = camera.size_px, camera.K_px, camera.matrix_world
            yield ObjectView(uid, kind, index, *pose, picture.rgba, picture.depth, crop)


def _centres(voxels: np.ndarray) -> np.ndarray:
    return (voxels + 0.5) / 64 - 0.5


def voxel_features(centres: np.ndarray, uid: str) -> np.ndarray:
    """(N, FEATURE_CHANNELS) float16: waves of the position, and which asset it is."""
    waves = centres @ np.random.default_rng(5).normal(0, 4, (3, FEATURE_CHANNELS))
    return (np.sin(waves + sum(map(ord, uid)))).astype(np.float16)


def _features(geometry: ObjectGeometry) -> VoxelFeatures:
    feats = voxel_features(_centres(geometry.voxels), geometry.asset_uid)
    return VoxelFeatures(geometry.asset_uid, feats, np.ones(len(feats), np.uint16))


def _latents(geometry: ObjectGeometry, count: int) -> Iterable[ObjectLatents]:
    mix = np.random.default_rng(6).normal(0, 1 / np.sqrt(FEATURE_CHANNELS), (FEATURE_CHANNELS, 8))
    for index, rotation in enumerate(uniform_rotations(count, np.random.default_rng(7))):
        asset = rotated(geometry, rotation, index)
        T_obj_rot = np.linalg.inv(asset.T_rot_obj)
        centres_obj = _centres(asset.voxels) @ T_obj_rot[:3, :3].T + T_obj_rot[:3, 3]
        feats = voxel_features(centres_obj, geometry.asset_uid).astype(np.float32)
        yield ObjectLatents(geometry.asset_uid, index, asset.T_rot_obj, asset.voxels, (feats @ mix).astype(np.float32))


if __name__ == "__main__":
    write_tiny_dataset(Path(sys.argv[1]))
