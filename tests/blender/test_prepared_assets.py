"""Assets as people have them, prepared, placed and rendered: flat things on the floor, and transparent ones."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from scenegen.assets.library import AssetLibrary
from scenegen.assets.preparing.asset import PrepareOptions, prepare_asset
from scenegen.assets.preparing.child_tools import ChildTools, TimeLimits
from scenegen.assets.sources.raw import RawAsset
from scenegen.config import PlacementConfig
from scenegen.contract.records import ViewImages
from scenegen.layout.collision import CollisionWorld
from scenegen.layout.placement import place_objects
from scenegen.layout.raycast import pixel_centres, pixel_rays
from scenegen.layout.spec import (
    CameraSpec,
    LightSpec,
    MaterialSpec,
    PlacedObject,
    RoomSpec,
    SamplingStats,
    SceneSpec,
    ViewSpec,
    WallSpec,
)
from scenegen.layout.visibility import SceneCaster
from tests.assets.models import BOX, BOX_FACES, Model
from tests.blender.conftest import FLOOR_Z_M, look_at

pytestmark = pytest.mark.bpy

LYING = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 0.7], [0, 0, 0.7]], np.float32)  # glTF: y up
UPRIGHT = np.array([[0, 0, 0], [1, 0, 0], [1, 0.7, 0], [0, 0.7, 0]], np.float32)
QUAD = np.array([[0, 1, 2], [0, 2, 3]], np.uint16)


def material(colour: list[float], **more: object) -> dict:
    return {"pbrMetallicRoughness": {"baseColorFactor": colour, "metallicFactor": 0.0, "roughnessFactor": 1.0}, **more}


def glass() -> dict:
    return material([1, 1, 1, 1], extensions={"KHR_materials_transmission": {"transmissionFactor": 1.0}})


FILES = {
    "rug": (LYING, QUAD, material([0.8, 0.1, 0.1, 1])),
    "doubled": (
        np.concatenate([LYING, LYING]),
        np.concatenate([QUAD, QUAD[:, ::-1] + 4]),
        material([0.8, 0.1, 0.1, 1]),
    ),
    "glass": (BOX, BOX_FACES, glass()),
    "pane": (UPRIGHT, QUAD, material([0.2, 0.5, 0.2, 0.3], alphaMode="BLEND", doubleSided=True)),
    "curtain": (UPRIGHT, QUAD, material([0.2, 0.2, 0.5, 0.7], alphaMode="BLEND", doubleSided=True)),
    "block": (BOX, BOX_FACES, material([0.6, 0.6, 0.6, 1])),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> AssetLibrary:
    """Written without Blender, then through `scenegen assets prepare`'s own steps."""
    raw, store = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("store")
    records = {}
    with ChildTools(TimeLimits(bake_s=120, parts_s=60)) as tools:
        for uid, (vertices, faces, look) in FILES.items():
            model = Model()
            model.document["materials"] = [look]
            model.document["extensionsUsed"] = list(look.get("extensions", {}))
            model.node(mesh=model.mesh(vertices, faces, material=0))
            path = model.glb(raw / f"{uid}.glb")
            asset = RawAsset(uid=uid, source="test", path=str(path), root=str(raw), split="train")
            records[uid] = prepare_asset(asset, store, tools, PrepareOptions())
    return AssetLibrary(records, dict.fromkeys(records, store))


def only(library: AssetLibrary, uid: str) -> AssetLibrary:
    return AssetLibrary({uid: library.records[uid]}, {uid: library.glb_path(uid).parents[2]})


def placed_alone(library: AssetLibrary, uid: str) -> PlacedObject:
    """Where placement puts it."""
    config = PlacementConfig(num_objects=(1, 1), area_m=1.0, scale=(0.8, 0.9))
    room = RoomSpec(7.5, FLOOR_Z_M, 7.5, MaterialSpec("concrete", 1), ())
    with CollisionWorld(config.clearance_m) as world:
        rngs = np.random.default_rng(0), np.random.default_rng(1)
        return place_objects(only(library, uid), room, config, world, *rngs).objects[0]


def depth_of_plane(camera: CameraSpec, z_m: float) -> np.ndarray:
    """(H, W) planar depth of the horizontal plane at this height."""
    origin, directions = pixel_rays(camera, pixel_centres(camera.size_px))
    return ((z_m - origin[2]) / directions[:, 2]).reshape(camera.size_px[::-1])


@pytest.mark.parametrize("uid", ["rug", "doubled"])
def test_a_flat_thing_on_the_floor_has_its_colour_its_id_and_the_depth_of_its_pose(
    prepared, make_renderer, make_scene, uid
):
    """Also where its maker doubled every face for the other side."""
    placed = placed_alone(prepared, uid)
    scene = make_scene((placed,), (look_at((-1.6, -1.2, 0.9), placed.translation_m),), walls=())
    (view,) = make_renderer(prepared, samples=16).render(scene)
    camera = scene.views[0].camera
    of_rug = SceneCaster.of(scene, prepared).hits_alone(placed.instance_id, camera, pixel_centres(camera.size_px))
    inside = ndimage.binary_erosion(of_rug.reshape(view.instance_id.shape))
    assert inside.sum() > 60
    assert (view.instance_id[inside] == placed.instance_id).all()
    expected = depth_of_plane(camera, placed.translation_m[2])
    np.testing.assert_allclose(view.depth_m[inside], expected[inside], atol=2e-4)
    assert placed.translation_m[2] - FLOOR_Z_M == pytest.approx(0.001, abs=1e-6)
    red, green, blue = view.rgb[inside].reshape(-1, 3).astype(int).T
    assert red.min() > 100 and (red > 1.3 * green).all() and (red > 1.3 * blue).all()


IN_FRONT = (
    PlacedObject(3, "glass", 0.9, 0.3, (-1.9, -0.4, FLOOR_Z_M + 0.46)),
    PlacedObject(4, "pane", 1.2, 0.2, (0.1, -0.6, FLOOR_Z_M + 0.43)),
    PlacedObject(5, "curtain", 1.2, 0.2, (2.1, -0.6, FLOOR_Z_M + 0.43)),
)
BEHIND = tuple(
    PlacedObject(6 + i, "block", 1.0, 0.4, (2.0 * i - 1.7, 1.0, FLOOR_Z_M + 0.51)) for i in range(len(IN_FRONT))
)
VIEWS = {thing.asset_uid: i for i, thing in enumerate(IN_FRONT)}  # each has a view of its own


def scene_of(in_front: tuple[PlacedObject, ...] = IN_FRONT) -> SceneSpec:
    room = RoomSpec(7.5, FLOOR_Z_M, 7.5, MaterialSpec("concrete", 1), (WallSpec("y+", MaterialSpec("plaster", 1)),))
    eyes = [(2.0 * i - 2.0, -2.6, 0.8) for i in range(len(IN_FRONT))]
    views = tuple(ViewSpec(look_at((x, y, z), (x, 0.0, 0.0))) for x, y, z in eyes)
    objects = (*in_front, *BEHIND)
    stats = SamplingStats(len(objects), len(objects))
    return SceneSpec(0, 0, room, LightSpec("interior", 0.4, 1.0), objects, views, stats)


@pytest.fixture(scope="module")
def surfaces(prepared, make_renderer) -> dict[str, list[ViewImages]]:
    """What is rendered for each value of the option."""
    settings = {"samples": 1, "denoise": False}
    return {
        name: list(make_renderer(prepared, **settings, transparent=name).render(scene_of()))
        for name in ("first", "opaque", "both")
    }


def agree(spec: SceneSpec, library: AssetLibrary, view: int, images: ViewImages) -> None:
    """With rays that know nothing of Blender or of materials."""
    ids, depth_m = SceneCaster.of(spec, library).view(spec.views[view])
    same = images.instance_id == ids
    assert same.mean() > 0.995, "only pixels on an edge may fall on either side"
    np.testing.assert_allclose(images.depth_m[same], depth_m[same], atol=1e-3)


@pytest.mark.parametrize("uid", VIEWS)
def test_the_first_surface_counts_unless_another_is_asked_for(surfaces, prepared, uid):
    first = surfaces["first"][VIEWS[uid]]
    agree(scene_of(), prepared, VIEWS[uid], first)
    assert (first.instance_id == 3 + VIEWS[uid]).sum() > 300
    assert first.depth_opaque_m is None


@pytest.mark.parametrize(("uid", "is_seen"), [("glass", False), ("pane", False), ("curtain", True)])
def test_opaque_surfaces_are_those_behind_glass_with_their_exact_depth(surfaces, prepared, uid, is_seen):
    """Glass by transmission, a pane of alpha 0.3; a curtain of alpha 0.7 is opaque."""
    opaque = surfaces["opaque"][VIEWS[uid]]
    agree(scene_of(IN_FRONT[2:]), prepared, VIEWS[uid], opaque)
    assert (opaque.instance_id == 3 + VIEWS[uid]).any() == is_seen
    assert (opaque.instance_id == 6 + VIEWS[uid]).any()
    assert (np.isfinite(opaque.normal_cam).all(axis=-1) == (opaque.instance_id > 0)).all()
    assert opaque.depth_opaque_m is None


@pytest.mark.parametrize("uid", VIEWS)
def test_both_are_the_two_beside_each_other_and_the_picture_is_the_same(surfaces, uid):
    first, opaque, both = (surfaces[name][VIEWS[uid]] for name in ("first", "opaque", "both"))
    for name in ("rgb", "depth_m", "instance_id", "normal_cam"):
        np.testing.assert_array_equal(getattr(both, name), getattr(first, name))
    np.testing.assert_array_equal(both.rgb, opaque.rgb)
    np.testing.assert_array_equal(both.depth_opaque_m, opaque.depth_m)
    np.testing.assert_array_equal(both.instance_id_opaque, opaque.instance_id)
    np.testing.assert_array_equal(both.normal_cam_opaque, opaque.normal_cam)


@pytest.mark.parametrize(("share_of_glass", "is_hole"), [(0.2, False), (0.8, True)])
def test_shaders_mixed_within_a_group_are_as_transparent_as_their_mixture(
    prepared, make_renderer, tmp_path, share_of_glass, is_hole
):
    import bpy

    make_renderer(prepared)
    material = bpy.data.materials.new("window")
    material.use_nodes = True
    group = bpy.data.node_groups.new("mixture", "ShaderNodeTree")
    group.interface.new_socket("Shader", in_out="OUTPUT", socket_type="NodeSocketShader")
    mix, end = group.nodes.new("ShaderNodeMixShader"), group.nodes.new("NodeGroupOutput")
    share = group.nodes.new("ShaderNodeValue")
    share.outputs[0].default_value = share_of_glass
    group.links.new(share.outputs[0], mix.inputs[0])
    for socket, kind in zip(mix.inputs[1:], ("Diffuse", "Glass"), strict=True):
        group.links.new(group.nodes.new(f"ShaderNodeBsdf{kind}").outputs[0], socket)
    group.links.new(mix.outputs[0], end.inputs[0])
    user = material.node_tree.nodes.new("ShaderNodeGroup")
    user.node_tree = group
    material.node_tree.links.new(user.outputs[0], material.node_tree.nodes["Material Output"].inputs["Surface"])
    bpy.data.libraries.write(str(tmp_path / "window.blend"), {material})

    renderer = make_renderer(prepared, OneFile(tmp_path / "window.blend"), samples=1, transparent="opaque")
    scene = scene_of()
    window = WallSpec("y+", MaterialSpec("external", 0, uid="my/window"))
    scene = dataclasses.replace(scene, room=dataclasses.replace(scene.room, walls=(window,)), views=scene.views[1:2])
    (view,) = renderer.render(scene)
    assert (view.instance_id == 2).any() != is_hole
    assert (view.instance_id == 0).any() == is_hole


class OneFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def path(self, uid: str) -> Path:
        return self._path
