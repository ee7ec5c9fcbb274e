"""The files that are written, read again by other programs."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from pipelines.complete.export.appearance import Appearance
from pipelines.complete.export.glb import write_glb
from pipelines.complete.export.ply import FIELDS, write_splats
from pipelines.complete.export.report import report_of
from pipelines.complete.export.scene import T_GLTF_WORLD, SceneObject, scene_objects, vertex_normals
from pipelines.complete.results import ColouredMesh, Completion, InstanceCompletion, Placement
from pipelines.complete.settings import Samplers
from pipelines.complete.steps.observe import Observation
from pipelines.complete.surface.image_colours import coloured_by_image
from pipelines.complete.view import Camera
from pipelines.evaluate.systems.predictions import ViewReport
from pipelines.frames import Cube


def in_world(one) -> np.ndarray:
    T = one.T_world_obj
    return one.mesh.vertices_V3 @ T[:3, :3].T + T[:3, 3]


@pytest.fixture(scope="module")
def balls() -> Completion:
    """Two coloured balls, 1 m and 0.2 m, red above and blue below; and an instance that was skipped."""
    ball = trimesh.creation.icosphere(3, radius=0.5)
    colours = np.where(ball.vertices[:, 2:] > 0, [[200, 30, 30]], [[30, 40, 190]]).astype(np.uint8)
    mesh = ColouredMesh(ball.vertices.astype(np.float32), ball.faces, colours)
    places = {3: (Placement((1, 2, 0.5), 2), Placement((0, 0, 0), 0.5)), 9: (Placement((-1, 3, 0.1), 0.5),) * 2}
    objects = [
        InstanceCompletion(i, "completed", mesh=mesh, coarse=coarse, fine=replace(fine, side=1 / coarse.side * size))
        for (i, (coarse, fine)), size in zip(places.items(), (1.0, 0.2), strict=True)
    ]
    skipped = InstanceCompletion(5, "skipped", "the mask is empty")
    camera = Camera.from_fov(1.0, (64, 48))
    return Completion("tiny", (objects[0], skipped, objects[1]), camera, 1, 0.5, Samplers(), "cpu")


def test_a_glb_holds_each_instance_upright_at_its_place(balls, tmp_path) -> None:
    write_glb(tmp_path / "s.glb", scene_objects(balls), balls.checkpoint)
    loaded = trimesh.load_scene(tmp_path / "s.glb")
    assert set(loaded.graph.nodes_geometry) == {"instance_003", "instance_009"}
    for one in balls.completed:
        T, geometry = loaded.graph[f"instance_{one.instance_id:03d}"]
        found = trimesh.transform_points(loaded.geometry[geometry].vertices, T)
        expected = trimesh.transform_points(in_world(one), T_GLTF_WORLD)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert loaded.bounds[1][1] == pytest.approx(1.0, abs=1e-3)  # y is up: the ball of 1 m at height 0.5
    assert json.dumps(loaded.metadata)  # nothing that JSON does not know


def test_vertex_colours_are_linear_as_gltf_says(balls, tmp_path) -> None:
    write_glb(tmp_path / "s.glb", scene_objects(balls), balls.checkpoint)
    geometry = next(iter(trimesh.load_scene(tmp_path / "s.glb").geometry.values()))
    red = np.asarray(geometry.visual.vertex_attributes["color"])[:, 0] / 65535
    assert red.max() == pytest.approx(((200 / 255 + 0.055) / 1.055) ** 2.4, abs=1e-4)


@pytest.mark.bpy
def test_blender_shows_world_coordinates(balls, tmp_path) -> None:
    bpy = pytest.importorskip("bpy")
    write_glb(tmp_path / "s.glb", scene_objects(balls), balls.checkpoint)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=str(tmp_path / "s.glb"))
    meshes = {one.name: one for one in bpy.data.objects if one.type == "MESH"}
    assert len(meshes) == 2
    for one in balls.completed:
        thing = meshes[f"instance_{one.instance_id:03d}"]
        found = np.array([thing.matrix_world @ vertex.co for vertex in thing.data.vertices])
        expected = in_world(one)
        np.testing.assert_allclose(found.min(0), expected.min(0), atol=1e-5)
        np.testing.assert_allclose(found.max(0), expected.max(0), atol=1e-5)
        assert len(thing.data.color_attributes) == 1


def test_splats_are_in_the_usual_layout_and_over_the_mesh(one_completed, tmp_path) -> None:
    count = write_splats(tmp_path / "s.ply", one_completed)
    header, body = (tmp_path / "s.ply").read_bytes().split(b"end_header\n")
    assert header.decode().split("\n")[4:-1] == [f"property float {name}" for name in FIELDS]
    rows = np.frombuffer(body, "<f4").reshape(count, len(FIELDS))
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(np.linalg.norm(rows[:, -4:], axis=1), 1, atol=1e-5)
    one = one_completed.completed[0]
    voxels = trimesh.transform_points((one.fine_V3 + 0.5) / 64 - 0.5, T_GLTF_WORLD @ one.T_world_obj)
    own = rows[: len(one.gaussians.raw_xyz_G3), :3]
    edge = one.T_world_obj[0, 0] / 64
    assert (own.min(0) >= voxels.min(0) - 1.3 * edge).all()
    assert (own.max(0) <= voxels.max(0) + 1.3 * edge).all()


def test_a_baked_texture_shows_what_the_vertices_did(balls, tmp_path) -> None:
    pytest.importorskip("xatlas")
    pytest.importorskip("fast_simplification")
    objects = scene_objects(balls, Appearance(texture=128, max_faces=300))
    write_glb(tmp_path / "s.glb", objects, balls.checkpoint)
    for one, thing in zip(balls.completed, objects, strict=True):
        assert len(thing.faces_F3) <= 300 < len(one.mesh.faces_F3)
        assert thing.texture.uv_V2.min() >= 0 <= thing.texture.uv_V2.max() <= 1
    geometry = trimesh.load_scene(tmp_path / "s.glb").geometry["instance_003"]
    colours = np.asarray(geometry.visual.to_color().vertex_colors)[:, :3].astype(int)
    for side, colour in (
        (geometry.vertices[:, 2] > 0.1, [200, 30, 30]),
        (geometry.vertices[:, 2] < -0.1, [30, 40, 190]),
    ):
        assert np.abs(colours[side] - colour).max() < 12


def test_a_texture_of_gaussians_has_their_colours(one_completed) -> None:
    pytest.importorskip("xatlas")
    pytest.importorskip("fast_simplification")
    one = one_completed[1]
    (thing,) = scene_objects(one_completed, Appearance(colours="gaussians", max_faces=2000))
    colours = one.gaussians.colour_G3.clamp(0, 1).numpy() * 255
    assert (thing.colours_V3 >= colours.min(0) - 1).all()
    assert (thing.colours_V3 <= colours.max(0) + 1).all()
    assert len(np.unique(thing.colours_V3, axis=0)) > 100


def test_normals_point_out_of_a_ball() -> None:
    ball = trimesh.creation.icosphere(2)
    normals = vertex_normals(ball.vertices, ball.faces)
    np.testing.assert_allclose(normals, ball.vertices, atol=0.05)


def test_evaluation_reads_the_report(balls) -> None:
    written = json.loads(json.dumps(report_of(balls, {"depth": "moge2"})))
    said = ViewReport.from_json(written)
    assert (said.system, said.axes, said.depth, said.depth_ratio) == ("tiny", "gltf", "moge2", 0.5)
    assert said.outcomes == {3: ("completed", ""), 5: ("skipped", "the mask is empty"), 9: ("completed", "")}
    np.testing.assert_allclose(written["instances"]["3"]["T_world_obj"], balls[3].T_world_obj)


def test_an_empty_scene_is_a_valid_file(balls, tmp_path) -> None:
    write_glb(tmp_path / "s.glb", [], "nothing")
    assert trimesh.load_scene(tmp_path / "s.glb").is_empty
    assert write_splats(tmp_path / "s.ply", replace(balls, instances=())) == 0


def test_one_object_is_written_alone(balls, tmp_path) -> None:
    thing: SceneObject = scene_objects(balls)[1]
    write_glb(tmp_path / "9.glb", [thing], balls.checkpoint)
    expected = trimesh.transform_points(in_world(balls[9]), T_GLTF_WORLD)
    np.testing.assert_allclose(
        trimesh.load_scene(tmp_path / "9.glb").bounds, [expected.min(0), expected.max(0)], atol=1e-5
    )


def test_the_image_colours_a_mesh_where_it_is_seen_and_the_more_by_their_mean_the_further_behind():
    seen = Observation(
        instance_id=3,
        points_P3=torch.tensor([[10.0, 0.0, 0.0], [12.0, 0.0, 0.0], [11.0, 0.0, 0.0]], dtype=torch.float64),
        confidence_P=torch.tensor([1.0, 1.0, 0.5]),
        colours_P3=torch.tensor([[200, 0, 0], [0, 0, 200], [0, 255, 0]], dtype=torch.uint8),
        coarse=Cube(torch.tensor([11.0, 0.0, 0.0], dtype=torch.float64), torch.tensor(4.0, dtype=torch.float64)),
        crop_4SS=torch.zeros(4, 8, 8),
        scene_mask_SS=torch.zeros(8, 8),
        cut_by_border=False,
    )
    T_world_grid = torch.diag(torch.tensor([4.0, 4.0, 4.0, 1.0], dtype=torch.float64))
    T_world_grid[0, 3] = 11
    vertices = np.array([[-0.25, 0, 0], [0.25, 0, 0], [-0.25, 0.4, 0], [-0.25, 40, 0]], np.float32)
    mesh = coloured_by_image(ColouredMesh(vertices, np.array([[0, 1, 2]]), None), T_world_grid, seen)
    red, blue, behind, far = mesh.colours_V3.astype(int)
    assert red[0] > 195 and red[2] < 5, "the outline's green, which mixes in what lies behind, is nowhere"
    assert blue[2] > 195 and blue[0] < 5
    assert behind[0] > 1.5 * behind[2] and behind[1] == 0
    assert far.tolist() == [100, 0, 100]
