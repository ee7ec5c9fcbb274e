"""Depth, cameras, frames and observations, against what is known of five spheres."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from models.compat import MENDED, OFFICIAL
from pipelines.cameras import project
from pipelines.complete.inputs.camera_file import read_camera
from pipelines.complete.inputs.depth_file import read_depth
from pipelines.complete.inputs.pictures import read_image
from pipelines.complete.steps.observe import NotEnoughSeen, observe
from pipelines.complete.view import Frame, SceneView
from pipelines.errors import PipelineError, UsageError
from pipelines.frames import Cube
from pipelines.visibility import sample_map


def look(scene, instance_id, mask=None, compat=MENDED, depth=None):
    view = SceneView(scene.rgb_HW3, scene.depth_HW if depth is None else depth, scene.camera)
    mask = scene.ids_HW == instance_id if mask is None else mask
    return observe(instance_id, mask, view, Frame.of(view, "letterbox"), 64, 16, compat)


def test_observed_points_lie_on_the_object_in_the_world(scene) -> None:
    for i in range(1, 6):
        seen = look(scene, i)
        assert np.abs(scene.surface_distance(i, seen.points_P3.numpy())).max() < 1e-5
        clear = seen.coarse.from_outer(seen.points_P3[seen.confidence_P == 1])
        assert clear.abs().max() == pytest.approx(0.25, abs=1e-4)


def test_only_the_sphere_at_the_border_is_said_to_be_cut(scene) -> None:
    assert [look(scene, i).cut_by_border for i in range(1, 6)] == [False, False, False, False, True]


def test_the_outline_counts_half_and_the_released_inference_drops_it(scene) -> None:
    ours, official = look(scene, 1), look(scene, 1, compat=OFFICIAL)
    assert set(ours.confidence_P.tolist()) == {0.5, 1.0}
    assert set(official.confidence_P.tolist()) == {1.0}
    assert len(official.points_P3) == int((ours.confidence_P == 1).sum())


def test_a_flier_of_the_outline_is_left_out(scene) -> None:
    depth = scene.depth_HW.copy()
    rows, columns = np.nonzero(scene.ids_HW == 1)
    depth[rows[0], columns[0]] = 30.0  # one pixel of the outline sees far behind the object
    seen = look(scene, 1, depth=depth)
    assert seen.coarse.from_outer(seen.points_P3).abs().max() < 0.2502
    assert len(seen.points_P3) < len(rows)


def test_of_a_pole_that_is_all_outline_every_pixel_counts(scene) -> None:
    column = int(np.nonzero((scene.ids_HW == 1).any(0))[0].mean())
    pole = (scene.ids_HW == 1) & (np.indices(scene.ids_HW.shape)[1] == column)
    for compat in (MENDED, OFFICIAL):
        seen = look(scene, 1, pole, compat)
        assert len(seen.points_P3) == pole.sum() >= 16
        assert set(seen.confidence_P.tolist()) == {1.0}


def test_points_outside_of_the_fine_cube_are_moved_to_its_walls(scene) -> None:
    seen = look(scene, 1)
    smaller = Cube(torch.zeros(3, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64))
    index = seen.fine_voxels(smaller).index_V3
    assert (index.min(), index.max()) == (0, 63)


@pytest.mark.parametrize(
    ("mask", "depth", "reason"),
    [
        (lambda s: s.ids_HW == 99, lambda s: s.depth_HW, "the mask is empty"),
        (lambda s: s.ids_HW == 1, lambda s: np.full_like(s.depth_HW, np.nan), "no pixel of the mask has valid depth"),
        (lambda s: s.ids_HW == 1, lambda s: np.zeros_like(s.depth_HW), "no pixel of the mask has valid depth"),
        (
            lambda s: (s.ids_HW == 1) & (np.cumsum(s.ids_HW == 1).reshape(s.ids_HW.shape) < 16),
            lambda s: s.depth_HW,
            "15 pix.* 16",
        ),
    ],
)
def test_what_is_not_enough_is_named(scene, mask, depth, reason) -> None:
    with pytest.raises(NotEnoughSeen, match=reason):
        look(scene, 1, mask(scene), depth=depth(scene))


@pytest.mark.parametrize("fit", ["letterbox", "squeeze"])
def test_a_point_projects_to_its_own_colour_in_the_frame_of_the_encoders(scene, fit) -> None:
    view = SceneView(scene.rgb_HW3, scene.depth_HW, scene.camera)
    frame = Frame.of(view, fit)
    framed = frame.apply(view.rgb_HW3, 0)
    assert (framed.shape[0] == framed.shape[1]) == (fit == "letterbox")
    points = look(scene, 3).points_P3
    uv = project(points, torch.from_numpy(view.camera.T_world_cam), torch.from_numpy(frame.K_norm(view.camera.K_px)))
    colours = sample_map(torch.from_numpy(framed).permute(2, 0, 1).float(), uv.uv_P2, mode="nearest")
    assert (colours == torch.tensor([70.0, 90.0, 230.0])).all()


def test_no_pixel_is_lost_in_a_letterbox(scene) -> None:
    frame = Frame.of(SceneView(scene.rgb_HW3, scene.depth_HW, scene.camera), "letterbox")
    framed = frame.apply(scene.ids_HW, 0)
    assert np.array_equal(np.bincount(framed.ravel())[1:], np.bincount(scene.ids_HW.ravel())[1:])


def test_depth_is_read_from_every_format_in_metres(tmp_path, scene) -> None:
    truth, size = scene.depth_HW, scene.depth_HW.shape[::-1]
    np.save(tmp_path / "a.npy", truth)
    np.savez(tmp_path / "b.npz", depth=truth, other=truth[:2])
    millimetres = np.nan_to_num(truth * 1000).astype(np.uint16)
    Image.fromarray(millimetres).save(tmp_path / "c.png")
    for name, unit, tolerance in (("a.npy", 1.0, 0), ("b.npz", 1.0, 0), ("c.png", 1e-3, 1e-3)):
        np.testing.assert_allclose(read_depth(tmp_path / name, size, unit).depth_HW, truth, atol=tolerance)
    np.save(tmp_path / "half.npy", truth[::2, ::2])
    assert read_depth(tmp_path / "half.npy", size, 1.0).depth_HW.shape == truth.shape


def test_depth_is_read_from_exr(tmp_path, scene) -> None:
    exr = pytest.importorskip("OpenEXR")
    with exr.File({}, {"Z": np.nan_to_num(scene.depth_HW)}) as file:
        file.write(str(tmp_path / "d.exr"))
    depth = read_depth(tmp_path / "d.exr", scene.depth_HW.shape[::-1], 1.0)
    np.testing.assert_allclose(depth.depth_HW, scene.depth_HW)


def test_depth_that_is_none_is_refused(tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 4, 3)))
    with pytest.raises(PipelineError, match="not one depth a pixel"):
        read_depth(tmp_path / "a.npy", (4, 4), 1.0)
    np.save(tmp_path / "b.npy", np.zeros((4, 8)))
    with pytest.raises(UsageError, match="shapes differ"):
        read_depth(tmp_path / "b.npy", (4, 4), 1.0)
    with pytest.raises(UsageError, match="depth is read from"):
        read_depth(tmp_path / "c.txt", (4, 4), 1.0)


@pytest.mark.parametrize(
    "values",
    [
        {"fov_x_deg": 90},
        {"fx": 50, "cx": 50, "cy": 30},
        {"fx": 100, "fy": 100, "cx": 100, "cy": 60, "width": 200, "height": 120},
        {"K_px": [[50, 0, 50], [0, 50, 30], [0, 0, 1]]},
        {"K_norm": [[0.5, 0, 0.5], [0, 50 / 60, 0.5], [0, 0, 1]]},
    ],
)
def test_every_form_of_camera_says_the_same(tmp_path, values) -> None:
    (tmp_path / "camera.json").write_text(json.dumps(values))
    camera = read_camera(tmp_path / "camera.json", (100, 60))
    np.testing.assert_allclose(camera.K_px, [[50, 0, 50], [0, 50, 30], [0, 0, 1]], atol=1e-9)
    assert camera.T_world_cam[:3, 2].tolist() == [0, 1, 0]


@pytest.mark.parametrize("text", ["{}", "[1]", "no json", '{"fov_x_deg": 200}', '{"fx": -1, "cx": 0, "cy": 0}'])
def test_what_is_no_camera_is_refused_with_the_forms(tmp_path, text) -> None:
    (tmp_path / "camera.json").write_text(text)
    with pytest.raises(PipelineError, match="fov_x_deg"):
        read_camera(tmp_path / "camera.json", (100, 60))


def test_transparent_pixels_come_out_black(tmp_path) -> None:
    rgba = np.full((2, 3, 4), 200, np.uint8)
    rgba[..., 3] = 255
    rgba[0, 0, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "a.png")
    rgb = read_image(tmp_path / "a.png")
    assert rgb[0, 0].tolist() == [0, 0, 0]
    assert (rgb.reshape(-1, 3)[1:] == 200).all()
