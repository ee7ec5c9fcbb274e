"""Every family builds, differs by seed, is a function of it, and is believably bright."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from scenegen.blender.materials import FAMILIES
from scenegen.errors import AssetError
from scenegen.layout.spec import MaterialSpec
from tests.blender.conftest import look_at


def test_families_can_be_listed_without_blender():
    code = "import sys; from scenegen.blender.materials import FAMILIES; assert 'bpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_there_are_families_for_every_plane():
    assert len(FAMILIES) >= 16
    for role in ("floor", "wall", "indoor", "outdoor"):
        assert sum(getattr(family, role) for family in FAMILIES.values()) >= 5


def test_layout_only_asks_for_families_that_exist_and_suit():
    from scenegen.layout import room

    assert all(FAMILIES[name].floor and FAMILIES[name].indoor for name in room.INDOOR_FLOORS)
    assert all(FAMILIES[name].floor and FAMILIES[name].outdoor for name in room.OUTDOOR_FLOORS)
    assert all(FAMILIES[name].wall for name in room.WALLS)


DOWN = look_at((-1.0, -1.0, 1.5), (0.0, 0.0, -0.5))


@pytest.fixture(scope="module")
def renderer(make_renderer):
    return make_renderer(samples=8)


@pytest.mark.bpy
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_family_is_a_pure_function_of_its_seed(family, renderer, make_scene):
    def picture(seed: int) -> np.ndarray:
        scene = make_scene(cameras=(DOWN,), floor=MaterialSpec(family, seed), walls=())
        return next(renderer.render(scene)).rgb.astype(int)

    first, again, other = picture(7), picture(7), picture(8)
    assert np.abs(first - again).max() <= 1
    assert np.abs(first - other).mean() > 1.0
    assert 8 < first.mean() < 235, "neither black nor blown out"


@pytest.mark.bpy
def test_twice_the_scale_from_twice_the_distance_is_the_same_picture(renderer, make_scene):
    def picture(scale: float) -> np.ndarray:
        camera = look_at((-0.6 * scale, -0.5 * scale, 0.8 * scale - 0.5), (0.0, 0.0, -0.5))
        scene = make_scene(cameras=(camera,), floor=MaterialSpec("tiles", 5, scale=scale), walls=())
        return next(renderer.render(scene)).rgb.astype(int)

    near, far, larger = picture(1.0), picture(2.0), picture(2.0)[::-1]
    assert np.abs(near - far).mean() < 3.0
    assert np.abs(near - larger).mean() > 3.0


class OneFolder:
    def __init__(self, path) -> None:
        self._path = path

    def path(self, uid: str):
        return self._path


@pytest.mark.bpy
def test_a_folder_of_textures_becomes_a_material(make_renderer, make_scene, tmp_path):
    Image.fromarray(np.full((8, 8, 3), (200, 30, 30), np.uint8)).save(tmp_path / "red_Color.png")
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(tmp_path / "red_Roughness.png")
    Image.fromarray(np.full((8, 8, 3), (128, 128, 255), np.uint8)).save(tmp_path / "red_NormalGL_1K.png")
    floor = MaterialSpec("external", 0, uid="my/red")
    renderer = make_renderer(materials=OneFolder(tmp_path))
    red, green, _ = next(renderer.render(make_scene(cameras=(DOWN,), floor=floor, walls=()))).rgb.mean(axis=(0, 1))
    assert red > 1.5 * green


@pytest.mark.bpy
def test_a_blend_material_is_used_and_its_scripts_are_not_run(make_renderer, make_scene, tmp_path):
    import bpy

    renderer = make_renderer()
    material = bpy.data.materials.new("green")
    material.use_nodes = True
    material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0.02, 0.5, 0.02, 1.0)
    script = bpy.data.texts.new("run.py")
    script.write(f"open({str(tmp_path / 'ran')!r}, 'w')")
    script.use_module = True
    bpy.data.libraries.write(str(tmp_path / "green.blend"), {material, script})
    renderer = make_renderer(materials=OneFolder(tmp_path / "green.blend"))
    floor = MaterialSpec("external", 0, uid="my/green")
    red, green, _ = next(renderer.render(make_scene(cameras=(DOWN,), floor=floor, walls=()))).rgb.mean(axis=(0, 1))
    assert green > 1.3 * red
    assert not (tmp_path / "ran").exists()


@pytest.mark.bpy
def test_an_unusable_external_material_is_an_error_that_names_it(make_renderer, make_scene, tmp_path):
    (tmp_path / "x_Color.png").write_bytes(b"no image")
    renderer = make_renderer(materials=OneFolder(tmp_path))
    with pytest.raises(AssetError, match="my/broken"):
        list(renderer.render(make_scene(floor=MaterialSpec("external", 0, uid="my/broken"))))
    (tmp_path / "y.blend").write_bytes(b"no blend")
    renderer = make_renderer(materials=OneFolder(tmp_path / "y.blend"))
    with pytest.raises(AssetError, match="my/broken"):
        list(renderer.render(make_scene(floor=MaterialSpec("external", 0, uid="my/broken"))))
