"""What is recorded as canonical is what is rendered, whatever the asset is made of."""

import math
from pathlib import Path

import numpy as np
import pytest

from scenegen.assets import glb
from scenegen.assets.canonical import welded
from scenegen.assets.library import AssetLibrary
from scenegen.assets.manifest import write_manifest
from scenegen.assets.preparing.asset import PrepareOptions, prepare_asset
from scenegen.assets.preparing.child_tools import ChildTools
from scenegen.config import AssetsConfig
from scenegen.jobs.child import KillableChild
from tests.assets.models import L_FACES, L_VERTICES, Model, canonical, same_points, textured_obj, two_l_shapes

pytestmark = pytest.mark.bpy
TURN = (0.0, math.sin(0.3), 0.0, math.cos(0.3))  # quaternion, 0.6 rad about y


def turned(points: np.ndarray, angle: float = 0.6) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return points @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T


def two_roots(model: Model) -> np.ndarray:
    model.node(mesh=model.mesh(L_VERTICES, L_FACES), translation=[5, 1, 0])
    model.node(mesh=model.mesh(L_VERTICES * 0.5, L_FACES), translation=[7, 0, 3])
    return np.concatenate([np.add(L_VERTICES, (5, 1, 0)), L_VERTICES * 0.5 + (7, 0, 3)])


def two_roots_one_mesh(model: Model) -> np.ndarray:
    shared = model.mesh(L_VERTICES, L_FACES)
    model.node(mesh=shared, translation=[5, 1, 0])
    model.node(mesh=shared, rotation=list(TURN), scale=[2, 2, 2])
    return np.concatenate([np.add(L_VERTICES, (5, 1, 0)), turned(L_VERTICES * 2)])


def parented(model: Model) -> np.ndarray:
    shared = model.mesh(L_VERTICES, L_FACES)
    child = model.node(root=False, mesh=shared, translation=[0, 2, 0], scale=[1, 3, 1])
    model.node(mesh=shared, children=[child], translation=[1, 0, 0], rotation=list(TURN))
    inner = L_VERTICES * (1, 3, 1) + (0, 2, 0)
    return np.add(turned(np.concatenate([L_VERTICES, inner])), (1, 0, 0))


def mirrored(model: Model) -> np.ndarray:
    model.node(mesh=model.mesh(L_VERTICES, L_FACES), scale=[-1, 1, 2])
    return L_VERTICES * (-1, 1, 2)


def instanced(model: Model) -> np.ndarray:
    shifts = np.array([[0, 0, 0], [4, 0, 0], [0, 5, 0]], dtype=np.float32)
    extension = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": model.accessor(shifts)}}}
    model.node(mesh=model.mesh(L_VERTICES, L_FACES), extensions=extension)
    model.document["extensionsUsed"] = model.document["extensionsRequired"] = ["EXT_mesh_gpu_instancing"]
    return np.concatenate([L_VERTICES + shift for shift in shifts])


def animated(model: Model) -> np.ndarray:
    node = model.node(mesh=model.mesh(L_VERTICES, L_FACES), translation=[1, 0, 0])
    model.node(mesh=model.mesh(L_VERTICES, L_FACES), translation=[0, 4, 0])
    times = model.accessor(np.array([0.0, 1.0], dtype=np.float32))
    path = model.accessor(np.array([[8, 0, 0], [9, 9, 9]], dtype=np.float32))
    model.document["animations"] = [
        {
            "samplers": [{"input": times, "output": path}],
            "channels": [{"sampler": 0, "target": {"node": node, "path": "translation"}}],
        }
    ]
    return np.concatenate([np.add(L_VERTICES, (1, 0, 0)), np.add(L_VERTICES, (0, 4, 0))])


@pytest.mark.parametrize("kind", [two_roots, two_roots_one_mesh, parented, mirrored, instanced, animated])
def test_the_canonical_vertices_are_the_rest_pose_of_everything_in_the_file(kind, tmp_path, tools, raw):
    model = Model()
    world = kind(model)
    record = prepare_asset(raw(model.glb(tmp_path / "a.glb")), tmp_path / "store", tools, PrepareOptions())
    packed = glb.read_glb(tmp_path / "store" / record.file)
    vertices, _ = welded(glb.corners(packed))
    assert same_points(vertices, canonical(world)) < 1e-4
    assert tools.check_pose("thing", tmp_path / "store" / record.file) < 1e-4


def test_an_obj_with_two_objects_keeps_both_and_its_texture(tmp_path, tools, raw):
    record = prepare_asset(raw(textured_obj(tmp_path / "raw")), tmp_path / "store", tools, PrepareOptions())
    packed = glb.read_glb(tmp_path / "store" / record.file)
    vertices, faces = welded(glb.corners(packed))
    assert same_points(vertices, canonical(two_l_shapes())) < 1e-4
    assert record.textured and len(packed.json["images"]) == 1
    assert record.faces == len(faces) == 2 * len(L_FACES)


def test_a_mirror_keeps_the_outside_outside(tmp_path, tools, raw):
    model = Model()
    mirrored(model)
    record = prepare_asset(raw(model.glb(tmp_path / "a.glb")), tmp_path / "store", tools, PrepareOptions())
    corners = glb.corners(glb.read_glb(tmp_path / "store" / record.file)).astype(np.float64)
    volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    source = L_VERTICES[L_FACES].astype(np.float64)
    assert np.sign(volume) == np.sign(np.einsum("fi,fi->", source[:, 0], np.cross(source[:, 1], source[:, 2])))


@pytest.fixture(scope="module")
def blender_files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("formats")
    child = KillableChild("tests.assets.blender_files:write_all")
    child.call(60, folder)
    child.close()
    return folder


@pytest.mark.parametrize(
    "name", ["a.glb", "a.gltf", "a.obj", "a.ply", "a.stl", "a.fbx", "a.usdc", "a.usda", "a.usdz", "a.dae", "a.blend"]
)
def test_every_format_gives_the_same_canonical_shape(name, blender_files, tmp_path, tools, raw):
    record = prepare_asset(raw(blender_files / name), tmp_path / "store", tools, PrepareOptions())
    vertices, _ = welded(glb.corners(glb.read_glb(tmp_path / "store" / record.file)))
    assert same_points(vertices, np.load(blender_files / "expected.npy")) < 2e-4


def test_collection_instances_modifiers_and_mirrors_of_a_blend_file_are_baked_and_its_scripts_do_not_run(
    blender_files, tmp_path, tools, raw
):
    record = prepare_asset(raw(blender_files / "rich.blend"), tmp_path / "store", tools, PrepareOptions())
    vertices, _ = welded(glb.corners(glb.read_glb(tmp_path / "store" / record.file)))
    assert same_points(vertices, np.load(blender_files / "rich.npy")) < 1e-4
    assert not (blender_files / "script-ran").exists()
    assert not (blender_files / "driver-ran").exists()


def test_a_prepared_store_gives_the_library_mesh_parts_and_verified_file(tmp_path, tools: ChildTools, raw):
    store = tmp_path / "store"
    record = prepare_asset(raw(textured_obj(tmp_path / "raw")), store, tools, PrepareOptions())
    write_manifest(store / "manifest.jsonl", [record])
    library = AssetLibrary.open(AssetsConfig(objects=(str(store),)))
    mesh, parts = library.mesh("thing"), library.convex_parts("thing")
    assert len(mesh.faces) == record.faces and len(parts) == record.parts
    assert np.allclose(np.ptp(mesh.vertices, axis=0), record.extents, atol=1e-6)
    assert library.glb_path("thing").is_file()
