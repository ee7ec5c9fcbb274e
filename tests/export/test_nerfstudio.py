"""Nerfstudio: by its documented conventions, and by its own parser where it is installed."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def test_frames_are_opengl_cameras_with_half_pixel_centres(exported, views):
    for scene in (0, 1):
        folder = exported("nerfstudio") / f"{scene:06d}"
        transforms = json.loads((folder / "transforms.json").read_text())
        assert len(transforms["frames"]) == 2
        for frame in transforms["frames"]:
            view = views[scene, int(Path(frame["file_path"]).stem)]
            np.testing.assert_allclose(np.array(frame["transform_matrix"]) @ OPENGL, view.T_world_cam, atol=1e-12)
            assert (frame["cx"], frame["cy"]) == (32.0, 24.0) == (frame["w"] / 2, frame["h"] / 2)
            assert (frame["fl_x"], frame["fl_y"]) == (view.K_px[0, 0], view.K_px[1, 1])
            assert (np.array(Image.open(folder / frame["file_path"])) == view.rgb).all()
            depth_m = np.array(Image.open(folder / frame["depth_file_path"])) / 1000
            np.testing.assert_array_equal(depth_m > 0, np.isfinite(view.depth_m))
            assert np.nanmax(np.abs(np.where(depth_m > 0, depth_m, np.nan) - view.depth_m)) < 0.000501


def test_points_lie_on_the_surfaces(exported, views):
    cloud = trimesh.load(exported("nerfstudio") / "000000/points.ply")
    points = np.asarray(cloud.vertices)
    view = views[0, 0]
    seen = points[: np.isfinite(view.depth_m).sum()]  # the first view's; so small an image is taken whole
    in_camera = (seen - view.T_world_cam[:3, 3]) @ view.T_world_cam[:3, :3]
    np.testing.assert_allclose(in_camera[:, 2], view.depth_m[np.isfinite(view.depth_m)], atol=1e-5)
    xy = in_camera[:, :2] / in_camera[:, 2:] * view.K_px[0, 0] + view.K_px[:2, 2]
    np.testing.assert_allclose(xy % 1, 0.5, atol=1e-3)


def test_nerfstudio_casts_our_rays(exported, views):
    pytest.importorskip("nerfstudio")
    from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig

    config = NerfstudioDataParserConfig(
        data=exported("nerfstudio") / "000001",
        orientation_method="none",
        center_method="none",
        auto_scale_poses=False,
        eval_mode="all",
    )
    parsed = config.setup().get_dataparser_outputs("train")
    for number, file in enumerate(parsed.image_filenames):
        view = views[1, int(file.stem)]
        rays = parsed.cameras.generate_rays(camera_indices=number)
        height, width = view.depth_m.shape
        y, x = np.mgrid[:height, :width] + 0.5
        ours = np.stack([(x - width / 2) / view.K_px[0, 0], (y - height / 2) / view.K_px[1, 1], np.ones_like(x)], -1)
        ours /= np.linalg.norm(ours, axis=-1, keepdims=True)
        np.testing.assert_allclose(rays.directions.numpy(), ours @ view.T_world_cam[:3, :3].T, atol=1e-6)
        np.testing.assert_allclose(rays.origins[0, 0].numpy(), view.T_world_cam[:3, 3], atol=1e-6)
