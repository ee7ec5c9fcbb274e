"""Neither the unit of a model nor the place where it lies changes its canonical shape; lost digits are refused."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scenegen.assets import glb
from scenegen.assets.bake_request import BakeRequest
from scenegen.assets.canonical import welded
from scenegen.assets.preparing.child_tools import ChildTools
from scenegen.errors import AssetError
from scenegen.jobs.child import KillableChild
from tests.assets.models import L_FACES, L_VERTICES, Model, canonical, same_points, textured_obj, two_l_shapes

pytestmark = pytest.mark.bpy
GRID_STEPS = 1e-4
# In the files' own unit: where a house lies in a map, with millimetres.
ON_A_MAP = np.array([500_000.123, 412.345, -5_300_000.456])


def write_obj(path: Path, points: np.ndarray) -> None:
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in points.tolist()]
    path.write_text("\n".join([*lines, *(f"f {a + 1} {b + 1} {c + 1}" for a, b, c in L_FACES.tolist())]) + "\n")


def write_glb(path: Path, points: np.ndarray) -> None:
    model = Model()
    model.node(mesh=model.mesh(points, L_FACES))
    model.glb(path)


def write_glb_node(path: Path, points: np.ndarray) -> None:
    """The size in the node, and not the same along all axes, so that normals turn otherwise than points."""
    size = np.ptp(points, axis=0).max()
    model = Model()
    model.node(mesh=model.mesh(points / size * (1, 0.5, 1), L_FACES), scale=[size, 2 * size, size])
    model.glb(path)


def write_stl(path: Path, points: np.ndarray) -> None:
    triangles = np.zeros(len(L_FACES), np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("flags", "<u2")]))
    triangles["corners"] = points[L_FACES]
    path.write_bytes(b"\0" * 80 + struct.pack("<I", len(L_FACES)) + triangles.tobytes())


def write_ascii_stl(path: Path, points: np.ndarray) -> None:
    lines = ["solid ell"]
    for triangle in points[L_FACES].tolist():
        corners = [f"vertex {x!r} {y!r} {z!r}" for x, y, z in triangle]
        lines += ["facet normal 0 0 0", "outer loop", *corners, "endloop", "endfacet"]
    path.write_text("\n".join([*lines, "endsolid ell"]) + "\n")


def write_ascii_ply(path: Path, points: np.ndarray) -> None:
    header = f"""ply\nformat ascii 1.0\nelement vertex {len(points)}
property double x\nproperty double y\nproperty double z
element face {len(L_FACES)}\nproperty list uchar int vertex_indices\nend_header\n"""
    rows = [f"{x!r} {y!r} {z!r}" for x, y, z in points.tolist()] + [f"3 {a} {b} {c}" for a, b, c in L_FACES.tolist()]
    path.write_text(header + "\n".join(rows) + "\n")


def write_usda(path: Path, points: np.ndarray) -> None:
    places = ", ".join(f"({x!r}, {y!r}, {z!r})" for x, y, z in points.tolist())
    path.write_text(f"""#usda 1.0\n(metersPerUnit = 1\nupAxis = "Y")\ndef Mesh "ell"\n{{
    int[] faceVertexCounts = {[3] * len(L_FACES)}
    int[] faceVertexIndices = {L_FACES.ravel().tolist()}
    point3f[] points = [{places}]\n}}\n""")


WRITERS: dict[str, tuple[str, Callable[[Path, np.ndarray], None]]] = {
    "obj": ("a.obj", write_obj),
    "glb": ("a.glb", write_glb),
    "glb node": ("a.glb", write_glb_node),
    "stl": ("a.stl", write_stl),
    "ascii stl": ("a.stl", write_ascii_stl),
    "ascii ply": ("a.ply", write_ascii_ply),
    "usda": ("a.usda", write_usda),
}
POINTS = L_VERTICES.astype(np.float64) / 2  # the longest side is 1


def baked(path: Path, tools: ChildTools) -> tuple[np.ndarray, np.ndarray]:
    """(F, 3, 3) corners of the canonical mesh, and their normals (glTF's axes)."""
    out = path.with_name("baked.glb")
    tools.bake(BakeRequest("thing", path, path.parent), out)
    document = glb.read_glb(out)
    normals = [
        document.decoded(p["attributes"]["NORMAL"])[document.accessor(p["indices"])[:, 0]]
        for p in document.json["meshes"][0]["primitives"]
    ]
    return glb.corners(document), np.concatenate(normals)


def shape(path: Path, tools: ChildTools) -> np.ndarray:
    return welded(baked(path, tools)[0])[0]


@pytest.fixture(scope="module")
def fbx_files(tmp_path_factory) -> dict[float, Path]:
    folder = tmp_path_factory.mktemp("fbx")
    child = KillableChild("tests.assets.blender_files:write_fbx")
    paths = child.call(60, folder, [1.0, *SCALES], 1e6)
    child.close()
    return paths


SCALES = [1e-7, 2e-4, 1e9]


@pytest.mark.parametrize("kind", WRITERS)
def test_the_unit_of_a_model_does_not_matter(kind, tmp_path, tools):
    name, write = WRITERS[kind]
    write(tmp_path / name, POINTS)
    corners, normals = baked(tmp_path / name, tools)
    for scale in [*SCALES, 1e-20, 1e20]:
        write(tmp_path / name, POINTS * scale)
        again, normals_again = baked(tmp_path / name, tools)
        assert again.shape == corners.shape and np.abs(again - corners).max() < GRID_STEPS
        assert np.abs(normals_again - normals).max() < 0.01


def test_the_unit_of_an_fbx_does_not_matter(fbx_files, tools):
    corners, normals = baked(fbx_files[1.0], tools)
    for scale in SCALES:
        again, normals_again = baked(fbx_files[scale], tools)
        assert again.shape == corners.shape and np.abs(again - corners).max() < GRID_STEPS
        assert np.abs(normals_again - normals).max() < 0.01


@pytest.mark.parametrize("kind", ["obj", "ascii stl", "ascii ply"])
def test_a_text_model_on_a_map_keeps_its_digits(kind, tmp_path, tools):
    name, write = WRITERS[kind]
    write(tmp_path / name, POINTS)
    here = shape(tmp_path / name, tools)
    write(tmp_path / name, POINTS + ON_A_MAP)
    assert same_points(shape(tmp_path / name, tools), here) < GRID_STEPS


@pytest.mark.parametrize("kind", ["glb", "stl", "usda"])
def test_a_model_on_a_map_in_32_bits_is_refused_with_what_to_do(kind, tmp_path, tools):
    name, write = WRITERS[kind]
    write(tmp_path / name, POINTS + ON_A_MAP)
    with pytest.raises(AssetError) as caught:
        baked(tmp_path / name, tools)
    assert "digits are lost: 1" in caught.value.reason and "5.3e+06 from its origin" in caught.value.reason
    assert "move the model to its origin" in caught.value.reason


def test_an_fbx_on_a_map_is_refused(fbx_files, tools):
    with pytest.raises(AssetError, match="digits are lost"):
        baked(fbx_files[0.0], tools)


def test_whole_coordinates_far_away_have_lost_nothing(tmp_path, tools):
    steps = np.array([[x, y, z] for x in range(9) for y in range(9) for z in (0, 4)], dtype=np.float64)
    faces = np.array([[a, a + 2, a + 19] for a in range(0, 140, 3)])
    model = Model()
    model.node(mesh=model.mesh(steps + 500_000, faces))
    used = steps[np.unique(faces)]
    assert same_points(shape(model.glb(tmp_path / "a.glb"), tools), canonical(used)) < GRID_STEPS


def test_a_stray_vertex_far_away_that_no_face_uses_takes_no_digits(tmp_path, tools):
    write_obj(tmp_path / "a.obj", POINTS)
    here = shape(tmp_path / "a.obj", tools)
    text = (tmp_path / "a.obj").read_text()
    (tmp_path / "a.obj").write_text(text + "v 1e6 0 0\n")
    assert same_points(shape(tmp_path / "a.obj", tools), here) < GRID_STEPS


def test_a_textured_obj_on_a_map_keeps_its_materials(tmp_path, tools):
    path = textured_obj(tmp_path / "raw")
    text = path.read_text().splitlines()
    for index, line in enumerate(text):
        if line.startswith("v "):
            x, y, z = np.array(line.split()[1:], dtype=np.float64) + ON_A_MAP
            text[index] = f"v {x} {y} {z}"
    path.write_text("\n".join(text) + "\n")
    answer = tools.bake(BakeRequest("thing", path, path.parent), tmp_path / "baked.glb")
    document = glb.read_glb(tmp_path / "baked.glb")
    assert answer.textured and len(document.json["images"]) == 1 and len(document.json["materials"]) == 2
    assert same_points(welded(glb.corners(document))[0], canonical(two_l_shapes())) < GRID_STEPS


@pytest.mark.parametrize("parents", [0, 2])
@pytest.mark.parametrize("matrix", [False, True])
def test_nodes_on_a_map_come_out_exact(parents, matrix, tmp_path, tools):
    model = Model()
    mesh = model.mesh(L_VERTICES, L_FACES)
    places = [ON_A_MAP, np.add(ON_A_MAP, (3.01, 0, 1.02))]
    children = []
    for place in places:
        where = {"translation": place.tolist()}
        if matrix:
            where = {"matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, *place.tolist(), 1]}
        children.append(model.node(root=not parents, mesh=mesh, **where))
    for level in range(parents):
        turn = {"rotation": [0.5, 0.5, 0.5, 0.5]} if level else {}
        children = [model.node(root=level == parents - 1, children=children, **turn)]
    world = np.concatenate([L_VERTICES, np.add(L_VERTICES, (3.01, 0, 1.02))])
    world = world[:, [2, 0, 1]] if parents else world
    assert same_points(shape(model.glb(tmp_path / "a.glb"), tools), canonical(world)) < GRID_STEPS


def test_one_node_on_a_map_comes_out_exact_and_two_deep_ones_are_refused(tmp_path, tools):
    model = Model()
    model.node(mesh=model.mesh(L_VERTICES, L_FACES), translation=ON_A_MAP.tolist())
    assert same_points(shape(model.glb(tmp_path / "a.glb"), tools), canonical(L_VERTICES)) < GRID_STEPS
    model = Model()
    mesh = model.mesh(L_VERTICES, L_FACES)
    deep = [model.node(root=False, mesh=mesh, translation=(ON_A_MAP + x).tolist()) for x in (0, 3.01)]
    for child in deep:
        model.node(children=[child])
    with pytest.raises(AssetError, match="digits are lost"):
        baked(model.glb(tmp_path / "b.glb"), tools)
