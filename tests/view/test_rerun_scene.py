"""A scene for the Rerun viewer, read back with Rerun's own reader."""

import io
import socket

import numpy as np
import pytest
from PIL import Image
from small_dataset import write_view

from scenegen import canonical_mesh
from scenegen.cli import main
from scenegen.contract.dataset import Dataset
from scenegen.view.colours import id_colour
from tests.rerun_reader import Recording
from tests.view.test_gallery import write_sidecar_of_half_the_depth

rr = pytest.importorskip("rerun")
CAMERA = "/world/camera"


@pytest.fixture(autouse=True)
def strict():
    """What Rerun cannot take is an error, not a warning."""
    rr.set_strict_mode(True)
    yield
    rr.set_strict_mode(False)


@pytest.fixture(scope="module")
def spheres(tmp_path_factory):
    """(dataset of one view, its recording)."""
    folder = tmp_path_factory.mktemp("spheres")
    write_view(folder)
    assert main(["view", "--data", str(folder), "--rerun", str(folder / "out" / "scene.rrd")]) == 0
    assert [file.name for file in (folder / "out").iterdir()] == ["scene.rrd"]
    return Dataset.open(folder), Recording(folder / "out" / "scene.rrd")


def seen(number, entity, component):
    return ("view", number, entity, component)


def test_the_camera_and_its_images_are_those_of_the_dataset(spheres):
    dataset, recording = spheres
    view = dataset.view(0)
    K = recording.at(*seen(0, CAMERA, "PinholeProjection")).reshape(3, 3).T
    assert np.allclose(K, view.K_px)  # in both, the centre of the first pixel is (0.5, 0.5)
    assert recording.at(*seen(0, CAMERA, "Resolution")).tolist() == [*view.size_px]
    assert np.allclose(recording.matrix(CAMERA, "view", 0), view.T_world_cam, atol=1e-6)
    assert recording.at(*seen(0, CAMERA, "ViewCoordinates")).tolist() == [3, 2, 5]  # right, down, forward
    assert recording.static("/world", "ViewCoordinates").tolist() == [3, 5, 1]  # z is up: right, forward, up
    packed, ids, depth = (
        recording.at(*seen(0, f"{CAMERA}/{name}", component)).astype(np.uint8).tobytes()
        for name, component in (("rgb", "Blob"), ("ids", "ImageBuffer"), ("depth", "ImageBuffer"))
    )
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(packed))), view.rgb)
    assert np.array_equal(np.frombuffer(ids, np.uint16), view.instance_id.ravel())
    assert np.array_equal(np.frombuffer(depth, np.float32), np.nan_to_num(view.depth_m).ravel())


def test_points_are_in_the_world_where_the_rays_of_their_pixels_end(spheres):
    dataset, recording = spheres
    view = dataset.view(0)
    points = recording.at(*seen(0, "/world/points", "Position3D"))
    assert len(points) == np.isfinite(view.depth_m).sum()
    in_camera = (points - view.T_world_cam[:3, 3]) @ view.T_world_cam[:3, :3]
    pixels = in_camera @ view.K_px.T / in_camera[:, 2:]
    rows, columns = np.nonzero(np.isfinite(view.depth_m))
    assert np.allclose(pixels[:, :2], np.stack([columns + 0.5, rows + 0.5], axis=1), atol=1e-3)
    assert np.allclose(in_camera[:, 2], view.depth_m[rows, columns], atol=1e-5)
    packed = recording.at(*seen(0, "/world/points", "Color"))
    assert np.array_equal(packed >> 24, view.rgb[rows, columns, 0])


def test_ids_have_the_names_of_assets_and_the_colours_of_the_gallery(spheres):
    dataset, recording = spheres
    found = {each["class_id"]: each["class_description"]["info"] for each in recording.static("/", "AnnotationContext")}
    for one in dataset.scene(0).objects:
        red, green, blue = id_colour(one.instance_id)
        assert found[one.instance_id]["label"] == one.asset_uid
        assert found[one.instance_id]["color"] == red << 24 | green << 16 | blue << 8 | 255
    assert found[1]["label"] == "floor"


def test_models_stand_where_the_pose_says_with_the_colours_of_their_materials(spheres):
    dataset, recording = spheres
    colours = set()
    for one in dataset.scene(0).objects:
        place = f"/world/objects/{one.instance_id:03d}"
        assert np.allclose(recording.matrix(place), one.T_world_obj, atol=1e-6)
        parts = sorted(entity for entity in recording.entities() if entity.startswith(f"{place}/"))
        corners = [recording.static(part, "Position3D")[recording.static(part, "TriangleIndices")] for part in parts]
        mesh = canonical_mesh(one.asset_uid)
        assert np.array_equal(np.concatenate(corners), mesh.vertices[mesh.faces])  # the asset's triangles, in order
        colours |= {int(recording.static(part, "AlbedoFactor").flat[0]) for part in parts}
    assert len(colours) > len(dataset.scene(0).objects)


def test_estimates_stand_beside_the_depth_and_missing_models_are_told(dataset_dir, tmp_path, capsys):
    write_sidecar_of_half_the_depth(dataset_dir, Dataset.open(dataset_dir))
    file = tmp_path / "scene.rrd"
    assert main(["view", "--data", str(dataset_dir), "--scene", "1", "--rerun", str(file)]) == 0
    out = capsys.readouterr().out
    assert "2 of 2 objects are shown without their models" in out and "SCENEGEN_STORES" in out
    assert f"rerun {file}" in out
    recording = Recording(file)
    for number in (0, 1):
        true, estimated = (
            recording.at(*seen(number, place, "Position3D")) for place in ("/world/points", "/world/estimates/half")
        )
        assert np.allclose(true, estimated, atol=2e-3)  # aligned
    assert recording.at(*seen(0, f"{CAMERA}/boxes", "Text")) == "asset/3, 20% occluded"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rerun"], "rerun --web-viewer scene.rrd"),
        (["--rerun", "scene.png"], "call it scene.rrd"),
        (["--rerun", "s.rrd", "--scene", "9"], "no view of scene 9"),
        (["--scene", "1"], "--scene goes with --rerun"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(dataset_dir, arguments, said, monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(dataset_dir)
    assert main(["view", "--data", ".", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_viewer_that_cannot_start_is_told(dataset_dir, monkeypatch, capfd):
    """The real one, on a display that does not exist."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 9876)) == 0:
            pytest.skip("a viewer is running, and would show it")
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert main(["view", "--data", str(dataset_dir), "--rerun"]) == 1
    assert "the Rerun viewer ended with exit code" in capfd.readouterr().err
