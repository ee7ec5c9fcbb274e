"""Objects tables of a few boxes in two shards, written as the jobs write them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from scenegen.contract import objects
from scenegen.contract.crops import object_crop
from scenegen.contract.objects import VIEW_KINDS, ObjectGeometry, ObjectLatents, ObjectView, StepMeta, VoxelFeatures
from scenegen.contract.storage import Root
from scenegen.contract.voxels import surface_voxels
from scenegen.layout.clean_cameras import clean_cameras
from scenegen.scenes.box_renderer import BoxLibrary, BoxViewRenderer
from scenegen.shards.objects import AssetCut, ObjectShard, failed_geometry, write_rows

SIDES = {"box/flat": (1.0, 0.6, 0.1), "box/long": (0.2, 0.1, 1.0), "box/wide": (0.7, 1.0, 0.4)}
BROKEN = "box/broken"
SHA256 = {uid: f"{number:064x}" for number, uid in enumerate([BROKEN, *SIDES])}
CUT = AssetCut.of(SHA256, 2)
VIEWS = {"condition_views": 1, "feature_views": 2, "samples": 1}
SETTINGS = {
    "objects": {"grid": 64},
    "objects_views": VIEWS,
    "objects_features_small": {"extractor": "small", "views": VIEWS},
    "objects_latents_ours": {"rotations": 1, "features": {"extractor": "small", "views": VIEWS}},
}


RECORDS = {uid: SimpleNamespace(extents=sides) for uid, sides in SIDES.items()}
LIBRARY = BoxLibrary(SimpleNamespace(records=RECORDS))


def meta_of(table: str, **changes) -> StepMeta:
    images = ("boxes", "none") if table == "objects_views" else ("", "")
    return StepMeta(table, CUT.digest, "test", SETTINGS[table] | changes, *images)


def geometry_of(uid: str) -> ObjectGeometry:
    if uid == BROKEN:
        return failed_geometry(uid, SHA256[uid], "truncated file", "CC0-1.0", "train")
    mesh = LIBRARY.mesh(uid)
    voxels = surface_voxels(mesh.vertices, mesh.faces)
    return ObjectGeometry(uid, SHA256[uid], "CC0-1.0", "train", mesh.vertices, mesh.faces, voxels)


def rows_of(table: str, uid: str) -> list:
    geometry = geometry_of(uid)
    if table == "objects":
        return [objects.encode_geometry(geometry)]
    if uid == BROKEN:
        return []
    count = len(geometry.voxels)
    if table == "objects_views":
        return [objects.encode_object_view(view) for view in views_of(uid)]
    if table == "objects_features_small":
        feats = np.linspace(0, 1, count * 3, dtype=np.float16).reshape(count, 3)
        return [objects.encode_features(VoxelFeatures(uid, feats, np.ones(count, np.uint16)))]
    latents = ObjectLatents(uid, 0, np.eye(4), geometry.voxels, np.zeros((count, 8), np.float32))
    return [objects.encode_latents(latents)]


def views_of(uid: str) -> list[ObjectView]:
    views = []
    for kind in VIEW_KINDS:
        cameras = clean_cameras(kind, VIEWS[f"{kind}_views"], 16, 0, uid)
        drawn = BoxViewRenderer(LIBRARY).render(uid, cameras, 1)
        for index, (camera, images) in enumerate(zip(cameras, drawn, strict=True)):
            crop = object_crop(images.rgba, 8) if kind == "condition" else None
            where = (camera.size_px, camera.K_px, camera.matrix_world)
            views.append(ObjectView(uid, kind, index, *where, images.rgba, images.depth, crop))
    return views


def write_shard(folder: Path, table: str, shard: ObjectShard, **settings) -> None:
    rows = (row for uid, _ in shard.assets for row in rows_of(table, uid))
    write_rows(Root.open(folder), shard, meta_of(table, **settings), rows)


def write_tables(folder: Path) -> None:
    for table in SETTINGS:
        for shard in CUT.shards:
            write_shard(folder, table, shard)
