"""Renders a SceneSpec: builds the scene, then all exact passes, then all RGB images."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import bpy

from scenegen.blender.asset_cache import AssetCache, MeshSource
from scenegen.blender.beauty import beauty_settings, read_rgb
from scenegen.blender.camera import build_camera, point_camera
from scenegen.blender.materials.build import MaterialBuilder, MaterialSource
from scenegen.blender.passes import ExactPasses, InstanceTable, exact_settings, materials_of, read_exact
from scenegen.blender.room import build_floor, build_wall, show_walls
from scenegen.blender.runtime import version
from scenegen.blender.runtime.log import captured
from scenegen.blender.runtime.session import Session
from scenegen.blender.transparency import transparent_as_holes
from scenegen.blender.world import build_lamp, build_world, exposure_gain
from scenegen.config import DatasetConfig
from scenegen.contract.records import FIRST, FLOOR_ID, OPAQUE, WALL_ID, ViewImages
from scenegen.errors import SceneError
from scenegen.layout.spec import SceneSpec


class HdriSource(Protocol):
    """What the renderer needs of an HDRI library."""

    def path(self, uid: str) -> Path: ...


@dataclass(frozen=True, slots=True)
class BuiltScene:
    """A scene in Blender: its walls by side, and the table of instance ids."""

    walls: "dict[str, bpy.types.Object]"
    instances: InstanceTable


class BlenderRenderer:
    """Renders scenes with Cycles, one after the other in one process; assets are imported once.

    library: prepared objects. hdris: environment maps. materials: external materials, or None if there are none.
    device: auto, optix, cuda or cpu. threads: CPU threads of Cycles, 0 for all cores.
    Raises SceneGenError if the device asked for is missing.
    """

    def __init__(
        self,
        library: MeshSource,
        hdris: HdriSource,
        materials: MaterialSource | None,
        config: DatasetConfig,
        device: str = "auto",
        threads: int = 0,
    ) -> None:
        self._config = config
        self._hdris = hdris
        self._session = Session(device, threads)
        self._assets = AssetCache(library)
        self._materials = MaterialBuilder(materials)

    def render(self, spec: SceneSpec) -> Iterator[ViewImages]:
        """The views in their order; see scenegen.scenes.renderer.Renderer."""
        scene = self._session.scene
        with captured() as log:
            built = self.build(spec)
            exact = self._render_exact(spec, built)
        refuse_troubles(log.troubles())
        beauty_settings(scene, self._config.render, self._session.device.is_gpu)
        with ThreadPoolExecutor(1) as beside:
            for index, view in enumerate(spec.views):
                # Read while Cycles renders: a GPU does not wait for it.
                passes = [beside.submit(read_exact, path, built.instances, view.camera) for path in exact[index]]
                with captured() as log:
                    show_walls(built.walls, view.unseen_walls)
                    point_camera(scene, view.camera)
                    rgb = self._session.render(f"rgb-{index}.bmp")
                refuse_troubles(log.troubles())
                yield _images(rgb, [each.result() for each in passes])
                for path in (rgb, *exact[index]):
                    path.unlink()

    def build(self, spec: SceneSpec) -> BuiltScene:
        """Replace the content of Blender's scene by this one. Raises AssetError, SceneError."""
        self._assets.trim()
        self._session.clear()
        scene = self._session.scene
        instances, walls = InstanceTable(), {}
        instances.add(build_floor(spec.room, self._materials.build(spec.room.floor)), FLOOR_ID)
        for wall in spec.room.walls:
            walls[wall.side] = build_wall(spec.room, wall, self._materials.build_for_wall(wall.material))
            instances.add(walls[wall.side], WALL_ID)
        placed = [(self._assets.place(each), each) for each in spec.objects]
        bpy.context.view_layer.update()
        for scene_object, each in placed:
            self._assets.check_pose(scene_object, each)
            instances.add(scene_object, each.instance_id)
        gain = exposure_gain(spec)
        scene.world = build_world(spec.light, self._hdris.path(spec.light.hdri_uid), gain)
        for lamp in spec.light.lamps:
            build_lamp(lamp, gain)
        build_camera(scene)
        return BuiltScene(walls, instances)

    def save_blend(self, spec: SceneSpec, path: Path) -> None:
        """Write the scene as a .blend with everything packed, the camera at the first view."""
        with captured() as log:
            built = self.build(spec)
            beauty_settings(self._session.scene, self._config.render, self._session.device.is_gpu)
            if spec.views:
                show_walls(built.walls, spec.views[0].unseen_walls)
                point_camera(self._session.scene, spec.views[0].camera)
            bpy.ops.file.pack_all()
            bpy.ops.wm.save_as_mainfile(filepath=str(path.resolve()), copy=True)
        refuse_troubles(log.troubles())

    def close(self) -> None:
        """Free Blender's data and the scratch folder."""
        self._assets.clear()
        self._session.close()

    def _render_exact(self, spec: SceneSpec, built: BuiltScene) -> list[tuple[Path, ...]]:
        """For each view, the exact passes that are asked for: of the first surface, the first opaque one, or both."""
        scene, wanted = self._session.scene, self._config.render.transparent
        passes = []
        with exact_settings(scene, self._config.render.albedo):
            if wanted != OPAQUE:
                passes.append(self._render_passes(spec, built, FIRST))
            if wanted != FIRST:
                with transparent_as_holes(materials_of(scene)):
                    passes.append(self._render_passes(spec, built, OPAQUE))
        return list(zip(*passes, strict=True))

    def _render_passes(self, spec: SceneSpec, built: BuiltScene, name: str) -> list[Path]:
        paths = []
        for index, view in enumerate(spec.views):
            show_walls(built.walls, view.unseen_walls)
            point_camera(self._session.scene, view.camera)
            paths.append(self._session.render(f"exact-{name}-{index}.exr"))
        return paths


def _images(rgb: Path, exact: Sequence[ExactPasses]) -> ViewImages:
    """The images of a view. exact: of the first surface, or of that and the first opaque one."""
    one = exact[0]
    images = ViewImages(read_rgb(rgb), one.depth_m, one.instance_id, one.normal_cam, one.albedo)
    if len(exact) == 1:
        return images
    opaque = exact[1]
    return replace(
        images,
        depth_opaque_m=opaque.depth_m,
        instance_id_opaque=opaque.instance_id,
        normal_cam_opaque=opaque.normal_cam,
    )


def bpy_version() -> str:
    """The version of Blender that renders."""
    return version.BPY_VERSION


def refuse_troubles(troubles: list[str]) -> None:
    """Raises SceneError with the first error in a render's log, if there is any."""
    if troubles:
        more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
        raise SceneError(f"Cycles reports: {troubles[0]}{more}")
