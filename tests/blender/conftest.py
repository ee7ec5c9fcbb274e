"""A library of a few exact shapes, and scenes small enough to render in a second."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh

from scenegen.assets.library import CanonicalMesh
from scenegen.config import DatasetConfig, RenderConfig
from scenegen.layout.spec import (
    CameraSpec,
    LampSpec,
    LightSpec,
    MaterialSpec,
    PlacedObject,
    RoomSpec,
    SamplingStats,
    SceneSpec,
    ViewSpec,
    WallSpec,
)

FLOOR_Z_M = -0.5
Y_UP = trimesh.transformations.rotation_matrix(-math.pi / 2, [1, 0, 0])


class ShapeLibrary:
    """Shapes as prepared assets: canonical meshes, and GLB files with y up."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._meshes: dict[str, CanonicalMesh] = {}

    def add(self, uid: str, shape: trimesh.Trimesh) -> None:
        shape = shape.copy()
        shape.apply_translation(-shape.bounds.mean(axis=0))
        shape.apply_scale(1.0 / shape.extents.max())
        self._meshes[uid] = CanonicalMesh(shape.vertices.astype(np.float32), shape.faces.astype(np.int32))
        shape.apply_transform(Y_UP)
        self.glb_path(uid).write_bytes(trimesh.Scene(shape).export(file_type="glb"))

    def mesh(self, uid: str) -> CanonicalMesh:
        return self._meshes[uid]

    def glb_path(self, uid: str) -> Path:
        return self._folder / f"{uid}.glb"


class SmallMaps:
    """The environment maps inside the bpy wheel, by file name, small: Cycles weighs each pixel in each render."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, uid: str) -> Path:
        import bpy

        small = self._folder / f"{uid}.exr"
        if not small.exists():
            world = Path(bpy.utils.resource_path("LOCAL")) / "datafiles/studiolights/world"
            image = bpy.data.images.load(str(world / small.name))
            image.scale(128, 64)
            image.filepath_raw, image.file_format = str(small), "OPEN_EXR"
            image.save()
            bpy.data.images.remove(image)
        return small


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> ShapeLibrary:
    library = ShapeLibrary(tmp_path_factory.mktemp("shapes"))
    library.add("box", trimesh.creation.box((1.0, 0.6, 0.4)))
    library.add("ball", trimesh.creation.icosphere(subdivisions=4))
    library.add("torus", trimesh.creation.torus(0.4, 0.15))
    return library


@pytest.fixture(scope="session")
def maps(tmp_path_factory: pytest.TempPathFactory) -> SmallMaps:
    return SmallMaps(tmp_path_factory.mktemp("maps"))


@pytest.fixture(scope="module")
def make_renderer(shapes: ShapeLibrary, maps: SmallMaps):
    """make_renderer(**render settings); closed when the next is made or the module ends."""
    from scenegen.blender.renderer import BlenderRenderer

    made = []

    def make(library: ShapeLibrary = shapes, materials: object = None, **settings: object) -> BlenderRenderer:
        render = dataclasses.replace(RenderConfig(samples=4), **settings)
        config = DatasetConfig(num_scenes=1, render=render)
        while made:  # one Blender in a process: a new renderer ends the one before
            made.pop().close()
        made.append(BlenderRenderer(library, maps, materials, config, "cpu", threads=1))
        return made[-1]

    yield make
    for renderer in made:
        renderer.close()


def look_at(eye: tuple[float, float, float], target: tuple[float, float, float] = (0, 0, 0)) -> CameraSpec:
    """A 64 x 48 px camera with 60 degrees across."""
    forward = np.subtract(target, eye) / np.linalg.norm(np.subtract(target, eye))
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :4] = np.stack([right, np.cross(forward, right), forward, np.array(eye)], axis=1)
    return CameraSpec(tuple(tuple(map(float, row)) for row in T), math.radians(60), (64, 48))


@pytest.fixture
def make_scene() -> Callable[..., SceneSpec]:
    """make_scene(objects, cameras, floor family, walls as (side, family))."""

    def make(
        objects: tuple[PlacedObject, ...] = (),
        cameras: tuple[CameraSpec, ...] = (look_at((-2.5, -2.0, 1.5)),),
        floor: str | MaterialSpec = "concrete",
        walls: tuple[tuple[str, str], ...] = (("x+", "plaster"),),
        unseen: tuple[str, ...] = (),
        lamps: tuple[LampSpec, ...] = (),
    ) -> SceneSpec:
        floor_spec = MaterialSpec(floor, 1) if isinstance(floor, str) else floor
        sides = tuple(WallSpec(side, MaterialSpec(family, i)) for i, (side, family) in enumerate(walls))
        room = RoomSpec(7.5, FLOOR_Z_M, 7.5, floor_spec, sides)
        light = LightSpec("interior", 0.4, 1.0, lamps)
        views = tuple(ViewSpec(camera, unseen) for camera in cameras)
        return SceneSpec(0, 0, room, light, objects, views, SamplingStats(len(objects), len(objects)))

    return make


@pytest.fixture
def three_objects() -> tuple[PlacedObject, ...]:
    return (
        PlacedObject(3, "box", 1.2, 0.7, (0.3, -0.5, FLOOR_Z_M + 0.24)),
        PlacedObject(4, "ball", 0.9, 0.0, (-0.4, 0.6, FLOOR_Z_M + 0.45)),
        PlacedObject(5, "torus", 1.0, 2.0, (1.1, 0.7, FLOOR_Z_M + 0.15)),
    )
