"""glTF files whose shape is easily mistaken."""

from pathlib import Path

import numpy as np

from scenegen.assets.glb import y_up
from tests.assets.models import Model
from tests.real_files.gltf_parts import (
    GREEN,
    LINEAR_GREEN,
    SCANNED,
    plain_material,
    red_tetra,
    require,
    tetra_mesh,
)
from tests.real_files.model_case import (
    RED,
    TETRA,
    TETRA_FACES,
    Expected,
    ModelCase,
    moved,
    places,
    refused,
    tetra,
)


def multi_root(folder: Path) -> Expected:
    model = Model()
    model.node(mesh=red_tetra(model), translation=[0, 0, 0])
    model.node(mesh=tetra_mesh(model, material=plain_material(model, LINEAR_GREEN)), translation=[3, 0, 0])
    model.glb(folder / "multi_root.glb")
    both = np.concatenate([TETRA, moved(TETRA, by=(3, 0, 0))])
    second = places(moved(TETRA, by=(3, 0, 0)))
    return Expected(both, 8, ((places()[0], RED), (second[1], GREEN)))


def mirrored_nodes(folder: Path) -> Expected:
    model = Model()
    model.node(mesh=red_tetra(model), scale=[-1, 1, 1])
    model.glb(folder / "mirrored_nodes.glb")
    mirrored = moved(TETRA, scale=(-1, 1, 1))
    return Expected(mirrored, 4, tuple((place, RED) for place in places(mirrored)))


def camera_and_light(folder: Path) -> Expected:
    """Neither a camera nor a lamp far away is part of the shape."""
    model = Model()
    model.node(mesh=red_tetra(model))
    model.document["cameras"] = [{"type": "perspective", "perspective": {"yfov": 0.7, "znear": 0.01}}]
    model.node(camera=0, translation=[0, 5, 50])
    require(model, "KHR_lights_punctual")
    model.document["extensions"] = {"KHR_lights_punctual": {"lights": [{"type": "point", "intensity": 100.0}]}}
    model.node(extensions={"KHR_lights_punctual": {"light": 0}}, translation=[0, 90, 0])
    model.glb(folder / "camera_and_light.glb")
    return tetra(RED)


def two_scenes(folder: Path) -> Expected:
    """Only what the default scene shows."""
    model = _two_scenes()
    model.document["scene"] = 1
    model.glb(folder / "two_scenes.glb")
    return Expected(moved(TETRA, scale=(1, 2, 1)), 4)


def no_default_scene(folder: Path) -> Expected:
    """Which scene is to be shown is not said: the first."""
    model = _two_scenes()
    del model.document["scene"]
    model.glb(folder / "no_default_scene.glb")
    return tetra(RED)


def _two_scenes() -> Model:
    model = Model()
    model.node(mesh=red_tetra(model))
    model.node(root=False, mesh=tetra_mesh(model), scale=[1, 1, 2], translation=[0, 0, 7])
    model.document["scenes"].append({"nodes": [1]})
    return model


def node_in_no_scene(folder: Path) -> Expected:
    """Levels of detail (MSFT_lod) lie in the file, but in no scene."""
    model = Model()
    model.node(mesh=red_tetra(model), extensions={"MSFT_lod": {"ids": [1]}})
    model.node(root=False, mesh=tetra_mesh(model, moved(TETRA, scale=5)))
    require(model, "MSFT_lod", required=False)
    model.glb(folder / "node_in_no_scene.glb")
    return tetra(RED)


def hidden_node(folder: Path) -> Expected:
    model = Model()
    child = model.node(root=False, mesh=tetra_mesh(model, moved(TETRA, scale=3)))
    model.node(mesh=red_tetra(model))
    model.node(children=[child], extensions={"KHR_node_visibility": {"visible": False}})
    require(model, "KHR_node_visibility", required=False)
    model.glb(folder / "hidden_node.glb")
    return tetra(RED)


def shape_keys(folder: Path) -> Expected:
    """Two morph targets, of which the file's weights show the second, half."""
    model = Model()
    mesh = red_tetra(model)
    lifts = [np.zeros((4, 3), np.float32), np.zeros((4, 3), np.float32)]
    lifts[0][:, 0], lifts[1][3, 1] = 9.0, 1.0
    primitive = model.document["meshes"][mesh]["primitives"][0]
    primitive["targets"] = [{"POSITION": model.accessor(lift)} for lift in lifts]
    model.document["meshes"][mesh]["weights"] = [0.0, 0.5]
    model.node(mesh=mesh)
    model.glb(folder / "shape_keys.glb")
    lifted = moved(TETRA)
    lifted[3, 2] += 0.5
    return Expected(lifted, 4, ((places(lifted)[0], RED),))


def skinned(folder: Path) -> Expected:
    """A skin whose joint stands where it was bound; the transform of the mesh's own node does not count."""
    model = Model()
    mesh = red_tetra(model)
    primitive = model.document["meshes"][mesh]["primitives"][0]
    weights = np.zeros((4, 4), np.float32)
    weights[:, 0] = 1
    primitive["attributes"] |= {
        "JOINTS_0": model.accessor(np.zeros((4, 4), np.uint16)),
        "WEIGHTS_0": model.accessor(weights),
    }
    joint = model.node(name="joint", translation=[0, 2, 0])
    inverse = np.eye(4, dtype=np.float32)
    inverse[1, 3] = -2
    matrices = model.accessor(np.ascontiguousarray(inverse.T).reshape(1, 16))
    model.document["accessors"][matrices]["type"] = "MAT4"
    model.document["skins"] = [{"joints": [joint], "inverseBindMatrices": matrices}]
    model.node(mesh=mesh, skin=0, translation=[100, 0, 0], scale=[3, 1, 1])
    model.glb(folder / "skinned.glb")
    return tetra(RED)


def byte_order_mark(folder: Path) -> Expected:
    model = Model()
    model.node(mesh=red_tetra(model))
    path = model.gltf(folder / "byte_order_mark.gltf")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    return tetra(RED)


def quantized(folder: Path) -> Expected:
    """Positions as normalised 16-bit integers, brought back to size by the node (gltfpack)."""
    model = Model()
    mesh = red_tetra(model)
    points = np.zeros((4, 4), np.uint16)
    points[:, :3] = np.rint(y_up(TETRA) / 2 * 32767 + 32767).astype(np.uint16)
    index = model.accessor(points)
    model.document["accessors"][index] |= {"type": "VEC3", "normalized": True, "min": [0] * 3, "max": [65535] * 3}
    model.document["bufferViews"][-1]["byteStride"] = 8
    model.document["meshes"][mesh]["primitives"][0]["attributes"]["POSITION"] = index
    scale = 2 * 65535 / 32767
    model.node(mesh=mesh, scale=[scale] * 3, translation=[-2.0] * 3)
    require(model, "KHR_mesh_quantization")
    model.glb(folder / "quantized.glb")
    return tetra(RED)


def sparse_accessor(folder: Path) -> Expected:
    """All vertices are 0 but those that the sparse part names."""
    model = Model()
    mesh = red_tetra(model)
    used, values = model.accessor(np.array([1, 2, 3], np.uint16)), model.accessor(y_up(TETRA)[1:])
    views = [model.document["accessors"][i]["bufferView"] for i in (used, values)]
    model.document["accessors"].append(
        {
            "componentType": 5126,
            "count": 4,
            "type": "VEC3",
            "min": y_up(TETRA).min(axis=0).tolist(),
            "max": y_up(TETRA).max(axis=0).tolist(),
            "sparse": {
                "count": 3,
                "indices": {"bufferView": views[0], "componentType": 5123},
                "values": {"bufferView": views[1]},
            },
        }
    )
    primitive = model.document["meshes"][mesh]["primitives"][0]
    primitive["attributes"]["POSITION"] = len(model.document["accessors"]) - 1
    model.node(mesh=mesh)
    model.glb(folder / "sparse_accessor.glb")
    return tetra(RED)


def strips_fans_and_lines(folder: Path) -> Expected:
    """A strip, a fan, no indices at all, and lines and points that are no surface."""
    model = Model()
    points, material = y_up(TETRA), plain_material(model)
    position = model.accessor(points)
    loose = model.accessor(points[[2, 0, 3]])
    far = model.accessor(np.array([[50, 0, 0], [60, 0, 0], [60, 9, 0]], np.float32))
    primitives = [
        {"attributes": {"POSITION": position}, "indices": model.accessor(np.array([0, 2, 1, 3], np.uint16)), "mode": 5},
        {"attributes": {"POSITION": position}, "indices": model.accessor(np.array([0, 1, 3], np.uint16)), "mode": 6},
        {"attributes": {"POSITION": loose}},
        {"attributes": {"POSITION": far}, "mode": 3},
        {"attributes": {"POSITION": far}, "mode": 0},
    ]
    model.document["meshes"].append({"primitives": [p | {"material": material} for p in primitives]})
    model.node(mesh=0)
    model.glb(folder / "strips_fans_and_lines.glb")
    return tetra(RED)


def unused_vertices(folder: Path) -> Expected:
    model = Model()
    far = np.concatenate([y_up(TETRA), [[900, 900, 900]]]).astype(np.float32)
    model.node(mesh=model.mesh(far, TETRA_FACES, material=plain_material(model)))
    model.glb(folder / "unused_vertices.glb")
    return tetra(RED)


def red_plane(folder: Path) -> Expected:
    model = Model()
    quad = np.array([[-1, 0, -0.6], [1, 0, -0.6], [1, 0, 0.6], [-1, 0, 0.6]], np.float32)
    faces = np.array([[0, 2, 1], [0, 3, 2]], np.uint32)
    model.node(mesh=model.mesh(quad, faces, material=plain_material(model)))
    model.glb(folder / "red_plane.glb")
    flat = np.array([[-1, -0.6, 0], [1, -0.6, 0], [1, 0.6, 0], [-1, 0.6, 0]])
    return Expected(flat, 2, (((0.1, 0.2, 0.0), RED),))


def far_from_the_origin(folder: Path) -> Expected:
    """A million units away float32 has steps of 1/16: of a shape of two units little is left."""
    model = Model()
    points = moved(y_up(TETRA), by=(1e6, 0, 1e6)).astype(np.float32)
    model.node(mesh=model.mesh(points, TETRA_FACES, material=plain_material(model)))
    model.glb(folder / "far_from_the_origin.glb")
    return refused("origin|digits|precision")


def moved_far_by_its_node(folder: Path) -> Expected:
    """The same place, but the shape itself is exact and the node says where it stands: nothing is lost."""
    model = Model()
    model.node(mesh=red_tetra(model), translation=[1e6, 0, 1e6])
    model.glb(folder / "moved_far_by_its_node.glb")
    return tetra(RED)


CASES = (
    ModelCase("multi_root", SCANNED, multi_root),
    ModelCase("mirrored_nodes", SCANNED, mirrored_nodes),
    ModelCase("camera_and_light", SCANNED, camera_and_light),
    ModelCase("two_scenes", SCANNED, two_scenes),
    ModelCase("shape_keys", SCANNED, shape_keys),
    ModelCase("red_plane", "rugs, paper and posters in ABO", red_plane),
    ModelCase("far_from_the_origin", "geo-referenced scans", far_from_the_origin),
    ModelCase("moved_far_by_its_node", "geo-referenced scans", moved_far_by_its_node),
    ModelCase("skinned", SCANNED, skinned),
    ModelCase("no_default_scene", "glTF specification", no_default_scene),
    ModelCase("node_in_no_scene", "glTF specification, MSFT_lod", node_in_no_scene),
    ModelCase("hidden_node", "glTF specification, KHR_node_visibility", hidden_node),
    ModelCase("byte_order_mark", "glTF files of other exporters", byte_order_mark),
    ModelCase("quantized", "gltfpack, KHR_mesh_quantization", quantized),
    ModelCase("sparse_accessor", "glTF specification", sparse_accessor),
    ModelCase("strips_fans_and_lines", "glTF specification", strips_fans_and_lines),
    ModelCase("unused_vertices", SCANNED, unused_vertices),
)
