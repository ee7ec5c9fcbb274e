"""Renders one asset alone, on nothing, with the Blender, importer and settings of the scenes, and a light of its own.

The light is a smooth sky whose radiance grows linearly towards one direction, on average as bright as the scenes' maps.
It reaches every side, so that no view is dark, and no two faces of a box look alike. The irradiance of a surface with
normal n has a closed form: pi MEAN_RADIANCE (1 + 2/3 CONTRAST n . TOWARDS). Such a light causes almost no noise, so
that images are not denoised: at equal cost they are closer to the reference without (README.md).

Only the part of the frame that the asset's bounding box covers is rendered; the rest of the image is empty.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import bpy
import numpy as np
from PIL import Image

from scenegen.blender.asset_cache import AssetCache, MeshSource
from scenegen.blender.beauty import beauty_settings
from scenegen.blender.camera import build_camera, point_camera
from scenegen.blender.passes import InstanceTable, exact_settings, read_exact
from scenegen.blender.renderer import refuse_troubles
from scenegen.blender.runtime import version
from scenegen.blender.runtime.log import captured
from scenegen.blender.runtime.session import Session
from scenegen.blender.world import MEAN_RADIANCE
from scenegen.config import RenderConfig
from scenegen.contract.records import FIRST_OBJECT_ID
from scenegen.layout.spec import CameraSpec, PlacedObject

CONTRAST = 0.6
"""How far the brightest direction is above the mean, relative to it; the darkest is as far below."""
TOWARDS = (0.36, -0.48, 0.8)
"""The brightest direction: unit vector, canonical frame, mostly upwards."""

_BORDER_PX = 2  # around the box: pixels of an edge extend half a pixel beyond it


@dataclass(frozen=True, slots=True)
class CleanView:
    """rgba: (H, W, 4) uint8, straight alpha. depth: (H, W) float32, planar z, canonical lengths, NaN on nothing."""

    rgba: np.ndarray
    depth: np.ndarray


@dataclass(frozen=True, slots=True)
class _Subject:
    """The asset in Blender. box_83: the corners of its bounding box, canonical frame."""

    instances: InstanceTable
    box_83: np.ndarray


class CleanViewRenderer:
    """Renders assets alone, one after the other in one process; the views of an asset share one Blender scene.

    config: of the scenes; each call gives the number of samples, and nothing is denoised.
    device: auto, optix, cuda or cpu. threads: CPU threads of Cycles, 0 for all cores.
    Raises SceneGenError if the device asked for is missing.
    """

    def __init__(self, library: MeshSource, config: RenderConfig, device: str = "auto", threads: int = 0) -> None:
        self._config = config
        self._session = Session(device, threads)
        self._assets = AssetCache(library, max_assets=1)

    def render(self, uid: str, cameras: Sequence[CameraSpec], samples: int) -> Iterator[CleanView]:
        """The views in the order of the cameras; their world is the canonical frame (scenegen.layout.clean_cameras).

        Raises AssetError if the asset cannot be used, SceneError if Cycles fails or reports trouble.
        """
        scene = self._session.scene
        with captured() as log:
            subject = self._build(uid)
            depths = self._depths(cameras, subject)
        refuse_troubles(log.troubles())
        settings = replace(self._config, samples=samples, denoise=False)
        beauty_settings(scene, settings, self._session.device.is_gpu)
        version.write_png_rgba(scene.render.image_settings)
        scene.render.film_transparent = True
        for camera, depth in zip(cameras, depths, strict=True):
            with captured() as log:
                _frame(scene, camera, subject)
                file = self._session.render("clean.png")
            refuse_troubles(log.troubles())
            yield CleanView(_read_rgba(file), depth)

    def close(self) -> None:
        """Free Blender's data and the scratch folder."""
        self._assets.clear()
        self._session.close()

    def _build(self, uid: str) -> _Subject:
        """Empty Blender's scene and put the asset in, at identity."""
        self._assets.trim()
        self._session.clear()
        placed = PlacedObject(FIRST_OBJECT_ID, uid, 1.0, 0.0, (0.0, 0.0, 0.0))
        scene_object = self._assets.place(placed)
        bpy.context.view_layer.update()
        self._assets.check_pose(scene_object, placed)
        instances = InstanceTable()
        instances.add(scene_object, FIRST_OBJECT_ID)
        self._session.scene.world = _build_sky()
        build_camera(self._session.scene)
        return _Subject(instances, np.array(scene_object.bound_box))

    def _depths(self, cameras: Sequence[CameraSpec], subject: _Subject) -> list[np.ndarray]:
        """Exact depth of all views. Settings change once an asset, because a change costs a synchronisation."""
        scene, depths = self._session.scene, []
        with exact_settings(scene):
            for camera in cameras:
                _frame(scene, camera, subject)
                file = self._session.render("exact.exr")
                depths.append(read_exact(file, subject.instances, camera).depth_m)
                file.unlink()
        return depths


def _frame(scene: "bpy.types.Scene", camera: CameraSpec, subject: _Subject) -> None:
    """Set the scene's camera, and restrict the render to the part of the image that the subject's box covers."""
    point_camera(scene, camera)
    T = camera.matrix_world
    image_83 = (subject.box_83 - T[:3, 3]) @ T[:3, :3] @ camera.K_px.T
    pixels_82 = image_83[:, :2] / image_83[:, 2:]
    low = (np.floor(pixels_82.min(axis=0)) - _BORDER_PX) / camera.size_px
    high = (np.ceil(pixels_82.max(axis=0)) + _BORDER_PX) / camera.size_px
    render = scene.render
    render.use_border, render.use_crop_to_border = True, False
    render.border_min_x, render.border_max_x = max(0.0, low[0]), min(1.0, high[0])
    render.border_min_y, render.border_max_y = max(0.0, 1.0 - high[1]), min(1.0, 1.0 - low[1])  # from below


def _build_sky() -> "bpy.types.World":
    """The light of the module's docstring. Cameras do not see it, because the film is transparent."""
    world = bpy.data.worlds.new("sky")
    version.use_nodes(world)
    # The sky has no small bright parts, so that it needs no importance map.
    world.cycles.sampling_method = "NONE"
    nodes, links = world.node_tree.nodes, world.node_tree.links
    nodes.clear()
    direction, cosine = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeVectorMath")
    radiance = nodes.new("ShaderNodeMath")
    background, output = nodes.new("ShaderNodeBackground"), nodes.new("ShaderNodeOutputWorld")
    cosine.operation = "DOT_PRODUCT"
    cosine.inputs[1].default_value = TOWARDS
    radiance.operation = "MULTIPLY_ADD"
    radiance.inputs[1].default_value = CONTRAST * MEAN_RADIANCE
    radiance.inputs[2].default_value = MEAN_RADIANCE
    links.new(direction.outputs["Generated"], cosine.inputs[0])
    links.new(cosine.outputs["Value"], radiance.inputs[0])
    links.new(radiance.outputs[0], background.inputs["Strength"])
    links.new(background.outputs["Background"], output.inputs["Surface"])
    return world


def _read_rgba(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGBA"))
