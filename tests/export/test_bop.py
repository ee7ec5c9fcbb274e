"""BOP, read by the rules of its documentation, since the toolkit is on no package index."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from scenegen.assets.library import CanonicalMesh
from scenegen.layout.raycast import first_hits, mesh_scene


@pytest.fixture(scope="module")
def folder(exported) -> Path:
    return exported("bop", "--min-visible-px", "0")


def read(path: Path, name: str) -> dict[int, list]:
    return {int(image): entry for image, entry in json.loads((path / f"scene_{name}.json").read_text()).items()}


def every_view(folder: Path, views):
    """(scene folder, view of ours, entries of scene_camera, scene_gt and scene_gt_info)."""
    for (scene, image), view in views.items():
        path = folder / "train" / f"{scene:06d}"
        yield path, view, *(read(path, name)[image] for name in ("camera", "gt", "gt_info"))


def test_models_projected_by_the_poses_are_the_masks_and_the_depth(folder, views):
    """Rays through the toolkit's pixels, X = (x - cx) z / fx, meet the models where masks and depth say."""
    for path, view, camera, poses, _ in every_view(folder, views):
        K, height, width = np.reshape(camera["cam_K"], (3, 3)), *view.instance_id.shape
        y, x = np.mgrid[:height, :width].reshape(2, -1)
        rays = np.stack([(x - K[0, 2]) / K[0, 0], (y - K[1, 2]) / K[1, 1], np.ones(len(x))], axis=1)
        depth_mm = np.array(Image.open(path / "depth" / f"{view.view_index:06d}.png")) * camera["depth_scale"]
        for number, pose in enumerate(poses):
            model = trimesh.load(folder / "models" / f"obj_{pose['obj_id']:06d}.ply", process=False)
            R, t = np.reshape(pose["cam_R_m2c"], (3, 3)), np.array(pose["cam_t_m2c"])
            np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
            in_camera = CanonicalMesh(model.vertices @ R.T + t, np.asarray(model.faces))
            hit, z_mm = (each.reshape(height, width) for each in first_hits(mesh_scene([in_camera]), np.zeros(3), rays))
            name = f"{view.view_index:06d}_{number:06d}.png"
            visible, whole = (np.array(Image.open(path / kind / name)) == 255 for kind in ("mask_visib", "mask"))
            assert (visible == (view.instance_id == pose["instance_id"])).all()
            assert (whole == (hit >= 0)).all()
            assert np.abs(z_mm - depth_mm)[visible].max(initial=0.0) < 0.4  # half a step of ours and of BOP's


def test_cameras_and_depth_are_ours(folder, views):
    for path, view, camera, _, _ in every_view(folder, views):
        T_cam_world = np.eye(4)
        T_cam_world[:3, :3], T_cam_world[:3, 3] = (
            np.reshape(camera["cam_R_w2c"], (3, 3)),
            np.array(camera["cam_t_w2c"]) / 1000,
        )
        np.testing.assert_allclose(np.linalg.inv(T_cam_world), view.T_world_cam, atol=1e-12)
        half_px = np.zeros((3, 3))
        half_px[:2, 2] = 0.5
        np.testing.assert_allclose(np.reshape(camera["cam_K"], (3, 3)), view.K_px - half_px)
        depth_m = np.array(Image.open(path / "depth" / f"{view.view_index:06d}.png")) * camera["depth_scale"] / 1000
        np.testing.assert_array_equal(depth_m > 0, np.isfinite(view.depth_m))
        assert np.nanmax(np.abs(np.where(depth_m > 0, depth_m, np.nan) - view.depth_m)) <= 0.0001251
        assert (np.array(Image.open(path / "rgb" / f"{view.view_index:06d}.png")) == view.rgb).all()


def test_the_facts_are_those_of_calc_gt_info(folder, views):
    for _, view, _, poses, infos in every_view(folder, views):
        assert len(poses) == len(infos) == 4  # hidden ones too
        for pose, info in zip(poses, infos, strict=True):
            facts = next(f for f in view.facts if f.instance_id == pose["instance_id"])
            assert info["px_count_visib"] == facts.visible_px
            assert info["px_count_all"] >= facts.amodal_px == info["px_count_valid"]
            if facts.truncation == 0:
                assert info["px_count_all"] == facts.amodal_px
            if facts.visible_px:
                x0, y0, x1, y1 = facts.visible_box_px
                assert info["bbox_visib"] == [x0, y0, x1 - x0 - 1, y1 - y0 - 1]  # the toolkit's width: last - first
            else:
                assert info["bbox_visib"] == info["bbox_obj"] == [-1, -1, -1, -1]


def test_there_is_a_model_in_millimetres_for_each_asset_and_scale(folder):
    infos = json.loads((folder / "models/models_info.json").read_text())
    assets = json.loads((folder / "models/assets.json").read_text())
    assert sorted(infos) == sorted(assets) == [str(i) for i in range(1, 6)]  # 2 boxes, 2 armchairs, a chair
    for number, info in infos.items():
        model = trimesh.load(folder / "models" / f"obj_{int(number):06d}.ply", process=False)
        np.testing.assert_allclose(model.extents, [info[f"size_{axis}"] for axis in "xyz"], rtol=1e-6)
        assert max(model.extents) == pytest.approx(assets[number]["longest_side_m"] * 1000, rel=1e-4)
        apart = model.vertices[:, None] - model.vertices[:: max(1, len(model.vertices) // 50)]
        assert np.linalg.norm(apart, axis=-1).max() <= info["diameter"] * (1 + 1e-6)
        assert max(model.extents) <= info["diameter"] <= np.linalg.norm(model.extents) * (1 + 1e-6)


def test_models_have_unit_normals_and_the_colours_of_their_textures(folder, exported):
    assets = json.loads((folder / "models/assets.json").read_text())
    number = next(int(n) for n, asset in assets.items() if asset["asset_uid"] == "blendswap-cc0-ammo-box")
    model = trimesh.load(folder / "models" / f"obj_{number:06d}.ply", process=False)
    np.testing.assert_allclose(np.linalg.norm(model.vertex_normals, axis=1), 1, atol=1e-3)
    ours = trimesh.load(exported("glb") / "000000.glb").geometry["blendswap-cc0-ammo-box"]  # read by trimesh
    colours = ours.visual.to_color().vertex_colors[:, :3].astype(int)
    assert len(colours) == len(model.vertices)
    difference = np.abs(model.visual.vertex_colors[:, :3].astype(int) - colours)
    assert np.median(difference) < 5  # of neighbouring texels; upside down it would be 32


def test_targets_ask_for_what_is_visible(folder):
    targets = json.loads((folder / "test_targets_bop19.json").read_text())
    assert {(t["scene_id"], t["im_id"]) for t in targets} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert all(t["inst_count"] == 1 for t in targets)
