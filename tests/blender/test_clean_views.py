"""Assets alone: geometry, light and transparency are compared with what they must be."""

import math
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from scenegen.assets.library import CanonicalMesh
from scenegen.config import RenderConfig
from scenegen.errors import AssetError
from scenegen.layout.cameras import look_at
from scenegen.layout.clean_cameras import clean_cameras
from scenegen.layout.spec import CameraSpec
from tests.blender.conftest import Y_UP, ShapeLibrary

pytestmark = pytest.mark.bpy
SIZE_PX = 64
GREY = 0.5
"""Albedo, linear."""


@pytest.fixture(scope="module")
def library(shapes) -> ShapeLibrary:
    grey = trimesh.creation.box((1.0, 0.8, 0.6))
    grey.visual = trimesh.visual.TextureVisuals(
        material=trimesh.visual.material.PBRMaterial(
            baseColorFactor=[GREY, GREY, GREY, 1.0], metallicFactor=0.0, roughnessFactor=1.0
        )
    )
    shapes.add("grey", grey)
    return shapes


@pytest.fixture(scope="module")
def renderer(library):
    from scenegen.blender.clean_views import CleanViewRenderer

    made = CleanViewRenderer(library, RenderConfig(view_transform="Standard"), "cpu", threads=1)
    yield made
    made.close()


def cast_depth(mesh: CanonicalMesh, camera: CameraSpec) -> np.ndarray:
    """(H, W) planar depth of the mesh at pixel centres, NaN beside it."""
    width, height = camera.size_px
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3) @ np.linalg.inv(camera.K_px).T
    T = camera.matrix_world
    caster = trimesh.ray.ray_pyembree.RayMeshIntersector(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False))
    origins = np.broadcast_to(T[:3, 3], rays.shape)
    places, ray, _ = caster.intersects_location(origins, rays @ T[:3, :3].T, multiple_hits=False)
    depth = np.full(width * height, np.nan)
    depth[ray] = (places - T[:3, 3]) @ T[:3, 2]
    return depth.reshape(height, width)


@pytest.mark.parametrize(("kind", "uid"), [("feature", "torus"), ("condition", "box")])
def test_depth_is_that_of_the_canonical_mesh(renderer, library, kind, uid):
    cameras = clean_cameras(kind, 3, SIZE_PX, 0, uid)
    for camera, view in zip(cameras, renderer.render(uid, cameras, samples=4), strict=True):
        expected = cast_depth(library.mesh(uid), camera)
        assert (view.depth.shape, view.depth.dtype) == ((SIZE_PX, SIZE_PX), np.float32)
        both = np.isfinite(view.depth) & np.isfinite(expected)
        assert both.sum() > 100
        assert (np.isfinite(view.depth) != np.isfinite(expected)).sum() <= 4  # pixels that an edge runs through
        assert np.abs(view.depth - expected)[both].max() < 2e-3  # the float32 cast is the less exact of the two


def test_nothing_is_transparent_the_object_opaque_and_its_edge_keeps_its_colour(renderer):
    cameras = clean_cameras("feature", 2, SIZE_PX, 0, "ball")
    for view in renderer.render("ball", cameras, samples=64):
        alpha, grey = view.rgba[..., 3], view.rgba[..., :3].mean(axis=-1)
        seen = np.isfinite(view.depth)
        assert view.rgba.dtype == np.uint8 and view.rgba.shape == (SIZE_PX, SIZE_PX, 4)
        assert (alpha[~seen] < 255).all() and alpha[seen].mean() > 240 and (alpha == 0).mean() > 0.3
        edge = (alpha > 60) & (alpha < 200)
        assert edge.sum() > 20
        assert grey[edge].mean() > 0.75 * grey[alpha == 255].min(), "straight alpha: black does not bleed in"


def test_faces_are_as_bright_as_the_closed_form_of_the_sky_says(renderer):
    """Radiance = albedo MEAN_RADIANCE (1 + 2/3 CONTRAST n . TOWARDS); the shader's gloss takes one share of all."""
    from scenegen.blender.clean_views import CONTRAST, TOWARDS
    from scenegen.blender.world import MEAN_RADIANCE

    normals = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)]
    poses = [look_at(tuple(2.0 * n for n in normal), (0.0, 0.0, 0.0)) for normal in normals]
    cameras = [CameraSpec(pose, math.radians(10), (16, 16)) for pose in poses]
    shares = []
    for normal, view in zip(normals, renderer.render("grey", cameras, samples=256), strict=True):
        shown = view.rgba[6:10, 6:10, :3].mean() / 255
        radiance = ((shown + 0.055) / 1.055) ** 2.4
        shares.append(radiance / (GREY * MEAN_RADIANCE * (1 + 2 / 3 * CONTRAST * np.dot(normal, TOWARDS))))
    assert np.linalg.norm(TOWARDS) == pytest.approx(1.0)
    assert max(shares) / min(shares) < 1.01
    assert min(shares) > 0.7 and max(shares) < 1.0


def test_an_asset_is_the_same_after_another_and_after_a_broken_one(renderer, library: ShapeLibrary):
    cameras = clean_cameras("condition", 2, SIZE_PX, 0, "torus")
    first = list(renderer.render("torus", cameras, samples=4))
    list(renderer.render("ball", cameras, samples=4))
    library.add("cut", trimesh.creation.box())
    broken: Path = library.glb_path("cut")
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(AssetError, match="cut"):
        list(renderer.render("cut", cameras, samples=4))
    for a, b in zip(first, renderer.render("torus", cameras, samples=4), strict=True):
        np.testing.assert_array_equal(a.depth, b.depth)
        assert np.abs(a.rgba.astype(int) - b.rgba).max() <= 1


def test_textures_of_former_assets_do_not_come_back(renderer, library: ShapeLibrary):
    """Cycles knows images by their address, and Blender gives freed addresses to the next asset's images."""
    camera = CameraSpec(look_at((2.0, 0.1, 0.5), (0.0, 0.0, 0.0)), math.radians(20), (16, 16))
    for number in range(8):
        colour = np.roll([255, 0, 0], number) // (1 + number // 3)
        library.add(f"painted-{number}", _painted(colour))
        (view,) = renderer.render(f"painted-{number}", [camera], samples=8)
        assert view.rgba[8, 8, :3].argmax() == colour.argmax(), f"asset {number}"


def _painted(colour: np.ndarray) -> trimesh.Trimesh:
    """A box with an image of one colour."""
    box = trimesh.creation.box((1.0, 0.9, 0.9))
    picture = Image.fromarray(np.broadcast_to(colour.astype(np.uint8), (16, 16, 3)).copy())
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=picture, metallicFactor=0.0, roughnessFactor=1.0)
    box.visual = trimesh.visual.TextureVisuals(uv=box.vertices[:, :2] + 0.5, material=material)
    return box


def test_a_file_that_is_not_the_canonical_mesh_is_refused(renderer, library: ShapeLibrary):
    library.add("moved", trimesh.creation.box((1.0, 0.5, 0.5)))
    other = trimesh.creation.box((1.0, 0.5, 0.4))
    other.apply_transform(Y_UP)
    library.glb_path("moved").write_bytes(trimesh.Scene(other).export(file_type="glb"))
    with pytest.raises(AssetError, match=r"moved.*pose"):
        list(renderer.render("moved", clean_cameras("feature", 1, SIZE_PX, 0, "moved"), samples=1))
