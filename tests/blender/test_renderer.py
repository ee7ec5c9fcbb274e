"""Pictures: light, repeatability, what is refused, and what is kept between scenes."""

import json
import struct

import numpy as np
import pytest

from scenegen.contract.records import ViewImages
from scenegen.errors import AssetError, SceneError, SceneGenError, UsageError
from scenegen.layout.spec import LampSpec, PlacedObject
from tests.blender.conftest import FLOOR_Z_M, look_at

pytestmark = pytest.mark.bpy


@pytest.fixture(scope="module")
def renderer(make_renderer):
    return make_renderer()


def test_a_view_holds_what_the_contract_promises(renderer, make_scene, three_objects):
    (view,) = renderer.render(make_scene(three_objects))
    assert isinstance(view, ViewImages)
    assert (view.rgb.shape, view.rgb.dtype) == ((48, 64, 3), np.uint8)
    assert (view.depth_m.shape, view.depth_m.dtype) == ((48, 64), np.float32)
    assert (view.instance_id.shape, view.instance_id.dtype) == ((48, 64), np.uint16)
    assert (view.normal_cam.shape, view.normal_cam.dtype) == ((48, 64, 3), np.float32)
    assert 30 < view.rgb.mean() < 220


def test_two_renders_of_one_spec_are_equal(renderer, make_scene, three_objects):
    """Ids, depth and normals to the bit; colours to one step of 255, because threads may add in another order."""
    scene = make_scene(three_objects)
    (a,), (b,) = renderer.render(scene), renderer.render(scene)
    np.testing.assert_array_equal(a.instance_id, b.instance_id)
    np.testing.assert_array_equal(a.depth_m, b.depth_m)
    np.testing.assert_array_equal(a.normal_cam, b.normal_cam)
    assert np.abs(a.rgb.astype(int) - b.rgb).max() <= 1


def test_a_scene_is_the_same_after_other_scenes(renderer, make_scene, three_objects):
    scene = make_scene(three_objects)
    (first,) = renderer.render(scene)
    list(renderer.render(make_scene(three_objects[:1], floor="grass", walls=())))
    (again,) = renderer.render(scene)
    assert np.abs(first.rgb.astype(int) - again.rgb).max() <= 1


def test_unseen_walls_do_not_change_the_light(renderer, make_scene, three_objects):
    """A camera that looks away from a wall gets the same picture whether or not the wall is unseen by it."""
    walls = (("x-", "brick"), ("y+", "plaster"))
    away = (look_at((-3.4, 0.0, 0.4), (0.0, 0.0, 0.0)),)
    (seen,) = renderer.render(make_scene(three_objects, away, walls=walls))
    (unseen,) = renderer.render(make_scene(three_objects, away, walls=walls, unseen=("x-",)))
    (without,) = renderer.render(make_scene(three_objects, away, walls=walls[1:]))
    assert np.abs(seen.rgb.astype(int) - unseen.rgb).max() <= 1
    assert np.abs(seen.rgb.astype(int) - without.rgb).mean() > 1, "the wall does matter for the light"


def test_a_camera_behind_an_unseen_wall_sees_the_room(renderer, make_scene, three_objects):
    behind = (look_at((-4.5, 0.0, 1.0)),)
    (hidden,) = renderer.render(make_scene(three_objects, behind, walls=(("x-", "brick"),)))
    (open_view,) = renderer.render(make_scene(three_objects, behind, walls=(("x-", "brick"),), unseen=("x-",)))
    assert not (hidden.instance_id >= 3).any()
    assert {3, 4} <= set(np.unique(open_view.instance_id))


def test_exposure_follows_the_room_and_not_the_lamps(renderer, make_scene, three_objects):
    lamp = LampSpec((0.0, 0.0, 2.0), 1.0, 250.0, (1.0, 0.9, 0.8))
    open_air = make_scene(three_objects, walls=())
    closed = make_scene(
        three_objects, walls=tuple((s, "plaster") for s in ("x+", "x-", "y+", "y-")), lamps=(lamp,), unseen=("x-", "y-")
    )
    means = [next(renderer.render(scene)).rgb.mean() for scene in (open_air, closed)]
    assert 0.5 < means[0] / means[1] < 2.0


def test_a_texture_that_cannot_be_read_is_an_error_that_names_the_asset(renderer, make_scene, shapes):
    shapes.add("broken", _textured_quad())
    path = shapes.glb_path("broken")
    path.write_bytes(_with_broken_image(path.read_bytes()))
    with pytest.raises(AssetError, match=r"broken.*texture"):
        list(renderer.render(make_scene((PlacedObject(3, "broken", 1.0, 0.0, (0.0, 0.0, 0.0)),))))
    (after,) = renderer.render(make_scene((PlacedObject(3, "box", 1.0, 0.0, (0.0, 0.0, FLOOR_Z_M + 0.2)),)))
    assert (after.instance_id == 3).any(), "the worker goes on"


def test_a_truncated_asset_is_an_error_that_names_it(renderer, make_scene, shapes):
    shapes.add("cut", _textured_quad())
    path = shapes.glb_path("cut")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(AssetError, match="cut"):
        list(renderer.render(make_scene((PlacedObject(3, "cut", 1.0, 0.0, (0.0, 0.0, 0.0)),))))


def test_trouble_in_cycles_log_is_found_and_its_chatter_is_not():
    from scenegen.blender.runtime.log import RenderLog

    log = RenderLog()
    log.text = (
        "Fra:1 Mem:8.89M | Time:00:00.03 | Scene, ViewLayer | Updating Lights\nSaved: '/tmp/x/terror.bmp'\n"
        "ERROR (cycles.image): Image file '/x/wood.png' does not exist.\n"
        "Unable to find image /y.png\n"
    )
    assert len(log.troubles()) == 2


def test_what_is_printed_by_c_code_is_captured(capfd):
    import os

    from scenegen.blender.runtime.log import captured

    with captured() as log:
        os.write(1, b"from C\n")
        os.write(2, b"to stderr\n")
    assert log.text == "from C\nto stderr\n"
    assert capfd.readouterr().out == ""


def test_a_device_that_is_asked_for_and_missing_is_an_error(renderer):
    from scenegen.blender.runtime import devices

    missing = {"optix", "cuda"} - {device.kind.lower() for device in devices.found()}
    for name in missing:
        with pytest.raises(SceneGenError, match=r"found only .*cpu"):
            devices.choose(name)
    assert devices.choose("cpu").kind == "CPU"
    with pytest.raises(UsageError, match="auto"):
        devices.choose("tpu")


def test_a_saved_blend_opens_with_the_whole_scene(renderer, make_scene, three_objects, tmp_path):
    import bpy

    file = tmp_path / "scene.blend"
    renderer.save_blend(make_scene(three_objects), file)
    with bpy.data.libraries.load(str(file)) as (stored, _):
        assert {"box", "ball", "torus", "floor", "wall x+", "camera"} <= set(stored.objects)


def test_scenes_leave_nothing_behind(renderer, make_scene, three_objects):
    import bpy

    def blocks() -> dict[str, int]:
        kinds = ("objects", "meshes", "materials", "images", "worlds", "lights", "cameras", "collections")
        return {kind: len(getattr(bpy.data, kind)) for kind in kinds}

    list(renderer.render(make_scene(three_objects)))
    before = blocks()
    for floor in ("wood_planks", "tiles", "grass"):
        list(renderer.render(make_scene(three_objects, floor=floor)))
    assert blocks() == before


def _textured_quad():
    import trimesh
    from PIL import Image

    quad = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]], [[0, 1, 2], [0, 2, 3]], process=False)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8))
    quad.visual = trimesh.visual.TextureVisuals(
        uv=[[0, 0], [1, 0], [1, 1], [0, 1]], material=trimesh.visual.material.PBRMaterial(baseColorTexture=picture)
    )
    return quad


def _with_broken_image(glb: bytes) -> bytes:
    """The same GLB, the bytes of its image overwritten."""
    (length,) = struct.unpack_from("<I", glb, 12)
    document = json.loads(glb[20 : 20 + length])
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    start = 20 + length + 8 + view.get("byteOffset", 0)
    return glb[:start] + b"\0" * view["byteLength"] + glb[start + view["byteLength"] :]


def test_an_unknown_family_is_refused(renderer, make_scene):
    with pytest.raises(SceneError, match="wood_planks"):
        list(renderer.render(make_scene(floor="chocolate")))


def test_an_unknown_view_transform_is_refused(make_renderer, make_scene):
    with pytest.raises(UsageError, match="view_transform"):
        list(make_renderer(view_transform="Kodak").render(make_scene()))
