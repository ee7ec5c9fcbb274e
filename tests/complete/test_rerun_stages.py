"""The steps of a completion for the Rerun viewer, read back with Rerun's own reader."""

import numpy as np
import pytest
from PIL import Image

from pipelines.complete.cli import main
from pipelines.complete.export.rerun_stages import GAUSSIANS, MESH, StagesRecording
from pipelines.complete.export.scene import scene_objects
from pipelines.complete.inputs.scene_inputs import SceneInputs
from pipelines.complete.instance_masks import masks_by_id
from pipelines.errors import EXIT_USAGE
from scenegen.contract.rerun.target import RerunTarget
from tests.rerun_reader import Recording

rr = pytest.importorskip("rerun")
INSTANCE = "/world/instances/001"


@pytest.fixture(scope="module")
def recording(one_completed, scene, tmp_path_factory):
    masks = masks_by_id(scene.ids_HW)
    inputs = SceneInputs(scene.rgb_HW3, masks, scene.depth_HW, scene.camera, True, {})
    steps = StagesRecording(one_completed, inputs, scene_objects(one_completed))
    file = tmp_path_factory.mktemp("rerun") / "steps.rrd"
    rr.set_strict_mode(True)  # what it cannot take is an error, not a warning
    RerunTarget(file).write(steps.name, steps.blueprint(), steps.log)
    rr.set_strict_mode(False)
    return Recording(file)


def bounds(recording, stage, what):
    """The box of what is shown of the instance at a stage, in the world; None if it is not shown."""
    entity = f"{INSTANCE}/{what}"
    points = recording.at("stage", stage, entity, "Position3D")
    if points is None or what == "gaussians":
        return points
    T = recording.matrix(entity, "stage", stage)
    placed = points @ T[:3, :3].T + T[:3, 3]
    return np.stack([placed.min(0), placed.max(0)])


def test_each_stage_shows_its_result_alone_where_the_object_is(recording, one_completed):
    one = one_completed[1]
    for stage, (voxels_V3, T) in enumerate(
        (
            (one.partial_V3, one.coarse.T_outer_cube),
            (one.coarse_V3, one.coarse.T_outer_cube),
            (one.fine_V3, one.T_world_obj),
        ),
        start=1,
    ):
        corners = np.stack([voxels_V3.min(0), voxels_V3.max(0) + 1.0]) / 64 - 0.5
        expected = corners @ T[:3, :3].T + T[:3, 3]
        assert np.allclose(bounds(recording, stage, "voxels"), expected, atol=1e-5)
        assert bounds(recording, stage, "mesh") is None
    vertices = one.mesh.vertices_V3 @ one.T_world_obj[:3, :3].T + one.T_world_obj[:3, 3]
    assert np.allclose(bounds(recording, MESH, "mesh"), [vertices.min(0), vertices.max(0)], atol=1e-5)
    for stage in (0, MESH, GAUSSIANS):
        assert bounds(recording, stage, "voxels") is None


def test_gaussians_take_the_place_of_the_mesh(recording, one_completed):
    one = one_completed[1]
    shown = one.gaussians.opacity_G1[:, 0].numpy() > 0.05
    expected = one.gaussians.xyz_G3.numpy()[shown] @ one.T_world_obj[:3, :3].T + one.T_world_obj[:3, 3]
    assert shown.any() and np.allclose(bounds(recording, GAUSSIANS, "gaussians"), expected, atol=1e-5)
    assert bounds(recording, GAUSSIANS, "mesh") is None and bounds(recording, MESH, "gaussians") is None


def test_image_masks_and_points_are_there_at_all_stages(recording, scene):
    packed = recording.static("/world/camera/masks", "ImageBuffer").astype(np.uint8).tobytes()
    ids_HW = np.frombuffer(packed, np.uint16).reshape(scene.ids_HW.shape)
    assert np.array_equal(ids_HW, scene.ids_HW * (scene.ids_HW == 1))
    points = recording.static("/world/points", "Position3D")
    distance = np.abs([scene.surface_distance(number, points) for number in range(1, 6)]).min(axis=0)
    assert distance.max() < 1e-4
    assert "1: completed" in recording.at("stage", 3, "/stage", "Text")


def test_the_viewer_is_asked_for_before_the_work(tmp_path, monkeypatch, capsys, scene):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, picture in (("in", scene.rgb_HW3), ("masks", scene.ids_HW.astype(np.uint8))):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    files = ["--image", str(tmp_path / "in.png"), "--masks", str(tmp_path / "masks.png"), "--depth", "x.npy"]
    assert main([*files, "--out", str(tmp_path / "s.glb"), "--rerun"]) == EXIT_USAGE
    assert "--rerun scene.rrd" in capsys.readouterr().err
