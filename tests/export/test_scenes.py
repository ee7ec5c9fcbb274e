"""Whole scenes: GLB, read by trimesh, and USD, read by Pixar's own library."""

import numpy as np
import pytest
import trimesh
from cast_scenes import SIZE_PX, UIDS, library, scene_spec

from scenegen.contract.dataset import Dataset

Y_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def glb(exported) -> trimesh.Scene:
    return trimesh.load(exported("glb") / "000001.glb")


def test_glb_nodes_have_our_poses_with_y_up(glb, views):
    for placed in scene_spec(1).objects:
        T, _ = glb.graph[f"{placed.instance_id:03d}_{placed.asset_uid}"]
        np.testing.assert_allclose(T, Y_UP @ placed.T_world_obj @ Y_UP.T, atol=1e-12)
    for number in (0, 1):
        T, _ = glb.graph[f"view_{number:04d}"]
        np.testing.assert_allclose(T, Y_UP @ views[1, number].T_world_cam @ OPENGL, atol=1e-12)


def test_glb_shapes_in_the_world_are_those_of_the_assets(glb):
    assets = library()
    for placed in scene_spec(1).objects:
        name = f"{placed.instance_id:03d}_{placed.asset_uid}"
        nodes = [
            n for n in glb.graph.nodes_geometry if name in glb.graph.transforms.shortest_path(glb.graph.base_frame, n)
        ]
        points = np.concatenate([_in_world(glb, node) for node in nodes])
        T = placed.T_world_obj
        ours = assets.mesh(placed.asset_uid).vertices @ T[:3, :3].T + T[:3, 3]
        low, high = (points @ Y_UP[:3, :3]).min(axis=0), (points @ Y_UP[:3, :3]).max(axis=0)
        np.testing.assert_allclose([low, high], [ours.min(axis=0), ours.max(axis=0)], atol=1e-5)


def _in_world(scene: trimesh.Scene, node: str) -> np.ndarray:
    T, geometry = scene.graph[node]
    return scene.geometry[geometry].vertices @ T[:3, :3].T + T[:3, 3]


def test_walls_of_glb_face_the_room(glb):
    for name in ("floor", "wall_xneg", "wall_ypos"):
        plane = glb.geometry[name]
        centre = plane.vertices.mean(axis=0)
        assert (plane.face_normals @ (np.array([0.0, 1.0, 0.0]) - centre) > 0).all()


def test_materials_and_textures_are_those_of_the_asset(glb):
    textured = [g for g in glb.geometry.values() if getattr(g.visual, "material", None)]
    assert any(getattr(each.visual.material, "baseColorTexture", None) for each in textured)


def test_usd_prims_have_our_poses_and_cameras_our_lens(exported, views):
    pytest.importorskip("pxr")
    from pxr import Usd, UsdGeom

    stage = Usd.Stage.Open(str(exported("usd") / "000001.usdz"))
    assert UsdGeom.GetStageUpAxis(stage) == "Z" and UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    placed = {p.GetAttribute("scenegen:instance_id").Get(): p for p in stage.Traverse() if _is_object(p)}
    boxes = UsdGeom.BBoxCache(Usd.TimeCode.Default(), ["default"])
    cache, assets = UsdGeom.XformCache(), library()
    for object_ in scene_spec(1).objects:
        T = np.array(cache.GetLocalToWorldTransform(placed[object_.instance_id])).T
        np.testing.assert_allclose(T, object_.T_world_obj, atol=1e-12)
        box = boxes.ComputeWorldBound(placed[object_.instance_id]).ComputeAlignedRange()
        ours = assets.mesh(object_.asset_uid).vertices @ T[:3, :3].T + T[:3, 3]
        assert (np.array(box.GetMin()) <= ours.min(axis=0) + 1e-5).all()
        assert (np.array(box.GetMax()) >= ours.max(axis=0) - 1e-5).all()
    for number in (0, 1):
        camera = UsdGeom.Camera(stage.GetPrimAtPath(f"/Scene/view_{number:04d}"))
        view = views[1, number]
        T = np.array(cache.GetLocalToWorldTransform(camera.GetPrim())).T
        np.testing.assert_allclose(T @ OPENGL, view.T_world_cam, atol=1e-12)
        lens = camera.GetCamera()
        for axis, size in zip((lens.FOVHorizontal, lens.FOVVertical), SIZE_PX, strict=True):
            expected = np.degrees(2 * np.arctan(size / (2 * view.K_px[0, 0])))
            assert lens.GetFieldOfView(axis) == pytest.approx(expected, abs=1e-4)


def _is_object(prim) -> bool:
    return prim.HasAttribute("scenegen:asset_uid")


def test_every_asset_is_stored_once(exported, data):
    scene = Dataset.open(data).scene(1)
    assert len(scene.objects) == 4 and len({o.asset_uid for o in scene.objects}) == len(UIDS)
    from scenegen.assets.glb import read_glb

    meshes = [each["name"] for each in read_glb(exported("glb") / "000001.glb").json["meshes"]]
    assert sorted(name for name in meshes if name in UIDS) == sorted(UIDS)
