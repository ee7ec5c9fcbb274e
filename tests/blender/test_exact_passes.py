"""Depth, ids and normals are facts: they are compared with geometry, not with pictures."""

import dataclasses

import numpy as np
import pytest
import trimesh

from scenegen.errors import AssetError, SceneError
from scenegen.layout.spec import PlacedObject
from tests.blender.conftest import FLOOR_Z_M, look_at

pytestmark = pytest.mark.bpy


def rays(camera) -> np.ndarray:
    """(H, W, 3) camera-frame rays through pixel centres, z = 1."""
    width, height = camera.size_px
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(camera.K_px).T


@pytest.fixture(scope="module")
def renderer(make_renderer):
    return make_renderer(samples=1, denoise=False)


def test_depth_is_planar_z_of_the_floor_to_a_tenth_of_a_millimetre(renderer, make_scene):
    scene = make_scene(walls=())
    (view,) = renderer.render(scene)
    camera = scene.views[0].camera
    T, directions = camera.matrix_world, rays(camera)
    expected = (FLOOR_Z_M - T[2, 3]) / (directions @ T[2, :3])
    floor = view.instance_id == 1
    assert floor.mean() > 0.5
    assert np.abs(view.depth_m - expected)[floor].max() < 1e-4


def test_background_has_id_0_and_neither_depth_nor_normal(renderer, make_scene):
    (view,) = renderer.render(make_scene(walls=(), cameras=(look_at((-2.5, -2.0, 0.5), (0, 0, 0.5)),)))
    background = view.instance_id == 0
    assert 0.1 < background.mean() < 0.9
    assert np.isnan(view.depth_m[background]).all() and np.isnan(view.normal_cam[background]).all()
    assert np.isfinite(view.depth_m[~background]).all() and np.isfinite(view.normal_cam[~background]).all()


def test_ids_and_depth_agree_with_the_ray_caster(renderer, make_scene, three_objects, shapes):
    from scenegen.layout.visibility import SceneCaster

    cameras = (look_at((-2.5, -2.0, 1.5)), look_at((2.4, -1.5, 0.8)))
    scene = make_scene(three_objects, cameras, walls=(("x+", "plaster"), ("y-", "brick")), unseen=("y-",))
    caster = SceneCaster.of(scene, shapes)
    for view, images in zip(scene.views, renderer.render(scene), strict=True):
        ids, depth = caster.view(view)
        same = ids == images.instance_id
        assert same.mean() > 0.995
        assert set(np.unique(images.instance_id)) >= {3, 4, 5}
        np.testing.assert_allclose(images.depth_m[same], depth[same], atol=1e-3)


def test_normals_of_a_ball_are_its_radii_in_the_camera_frame(renderer, make_scene):
    ball = PlacedObject(3, "ball", 1.0, 0.0, (0.0, 0.0, FLOOR_Z_M + 0.5))
    scene = make_scene((ball,), (look_at((-1.8, -1.0, 0.4)),))
    (view,) = renderer.render(scene)
    camera, mask = scene.views[0].camera, view.instance_id == 3
    points = rays(camera)[mask] * view.depth_m[mask][:, None]
    centre = np.linalg.inv(camera.matrix_world) @ [*ball.translation_m, 1.0]
    radii = (points - centre[:3]) / np.linalg.norm(points - centre[:3], axis=1, keepdims=True)
    cosine = (view.normal_cam[mask] * radii).sum(axis=1)
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean() < 2.0  # facets of 5 degrees
    assert ((view.normal_cam[mask] * points).sum(axis=1) <= 1e-5).all(), "normals face the camera"


def test_normals_are_those_of_the_geometry_however_rough_the_material(renderer, make_scene):
    scene = make_scene(floor="gravel", walls=())
    (view,) = renderer.render(scene)
    up = scene.views[0].camera.matrix_world[:3, :3].T @ [0, 0, 1]
    np.testing.assert_allclose(view.normal_cam[view.instance_id == 1] @ up, 1.0, atol=1e-4)


def test_depth_of_one_view_lands_on_the_surfaces_of_another(renderer, make_scene, three_objects):
    scene = make_scene(three_objects, (look_at((-2.5, -2.0, 1.5)), look_at((-2.2, -2.3, 1.6))))
    a, b = renderer.render(scene)
    camera_a, camera_b = (view.camera for view in scene.views)
    points = rays(camera_a) * a.depth_m[..., None] @ camera_a.matrix_world[:3, :3].T + camera_a.matrix_world[:3, 3]
    in_b = (points[a.instance_id > 0] - camera_b.matrix_world[:3, 3]) @ camera_b.matrix_world[:3, :3]
    pixel = np.floor((in_b @ camera_b.K_px.T)[:, :2] / in_b[:, 2:]).astype(int)
    inside = (pixel >= 0).all(axis=1) & (pixel < camera_b.size_px).all(axis=1)
    x, y = pixel[inside].T
    difference = in_b[inside, 2] - b.depth_m[y, x]
    assert np.nanmedian(np.abs(difference)) < 0.03
    assert np.mean(difference < 0.15) > 0.95, "what A sees is not far behind what B sees, but where B is occluded"
    assert np.mean(b.instance_id[y, x] == a.instance_id[a.instance_id > 0][inside]) > 0.9


def test_ids_above_255_and_above_32767_come_back(renderer, make_scene, three_objects):
    ids = (300, 32768, 65535)
    objects = tuple(dataclasses.replace(o, instance_id=i) for o, i in zip(three_objects, ids, strict=True))
    (view,) = renderer.render(make_scene(objects))
    assert set(np.unique(view.instance_id)) >= set(ids)
    assert view.instance_id.dtype == np.uint16


def test_an_id_beyond_uint16_is_refused(renderer, make_scene, three_objects):
    with pytest.raises(SceneError, match="65535"):
        list(renderer.render(make_scene((dataclasses.replace(three_objects[0], instance_id=65536),))))


def test_the_recorded_pose_puts_the_canonical_mesh_where_it_is_rendered(renderer, make_scene, three_objects, shapes):
    import bpy

    from scenegen.blender.asset_cache import pose_error_m

    renderer.build(make_scene(three_objects))
    for placed in three_objects:
        in_scene = bpy.data.objects[placed.asset_uid]
        assert pose_error_m(in_scene, shapes.mesh(placed.asset_uid).vertices, placed.T_world_obj) < 1e-4
        moved = placed.T_world_obj + np.eye(4, k=3) * 2e-4
        assert pose_error_m(in_scene, shapes.mesh(placed.asset_uid).vertices, moved) > 1e-4


def test_an_asset_whose_file_is_not_its_canonical_mesh_is_refused(renderer, make_scene, shapes):
    shapes.add("other", trimesh.creation.box((1.0, 0.6, 0.4)))
    shapes.glb_path("other").write_bytes(shapes.glb_path("torus").read_bytes())
    with pytest.raises(AssetError, match="pose"):
        list(renderer.render(make_scene((PlacedObject(3, "other", 1.0, 0.0, (0.0, 0.0, 0.0)),))))


def test_a_cut_out_is_a_hole_in_ids_and_depth(renderer, make_scene, shapes):
    quad = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]], [[0, 1, 2], [0, 2, 3]], process=False)
    image = np.full((8, 8, 4), 255, np.uint8)
    image[:, 4:, 3] = 0
    quad.visual = trimesh.visual.TextureVisuals(
        uv=[[0, 0], [1, 0], [1, 1], [0, 1]],
        material=trimesh.visual.material.PBRMaterial(
            baseColorTexture=_picture(image), alphaMode="MASK", alphaCutoff=0.5, doubleSided=True
        ),
    )
    shapes.add("fence", quad)
    fence = PlacedObject(3, "fence", 1.0, 0.0, (0.0, 0.0, FLOOR_Z_M + 0.5))
    (view,) = renderer.render(make_scene((fence,), (look_at((0.0, -1.5, 0.0)),), walls=(("y+", "plaster"),)))
    row = view.instance_id[24]
    seen = np.nonzero(row == 3)[0]
    assert len(seen) > 0 and seen.max() <= 32, "only the left half is there"
    assert (row[33:] == 2).all(), "the wall shows through the right half"


def _picture(array: np.ndarray):
    from PIL import Image

    return Image.fromarray(array)


def test_albedo_is_the_diffuse_colour_without_any_light(make_renderer, make_scene, shapes):
    linear = np.array([0.5, 0.2, 0.05])
    material = trimesh.visual.material.PBRMaterial(baseColorFactor=[*linear, 1.0], metallicFactor=0.0)
    box = trimesh.creation.box((1.0, 0.6, 0.4))
    box.visual = trimesh.visual.TextureVisuals(uv=np.zeros((len(box.vertices), 2)), material=material)
    shapes.add("orange", box)
    placed = PlacedObject(3, "orange", 1.2, 0.4, (0.0, 0.0, FLOOR_Z_M + 0.24))
    (view,) = make_renderer(samples=1, denoise=False, albedo=True).render(make_scene((placed,)))
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    # The specular layer of a dielectric keeps a few per cent of the light from the diffuse layer below it.
    assert np.abs(view.albedo[view.instance_id == 3] - expected).max() <= 6
