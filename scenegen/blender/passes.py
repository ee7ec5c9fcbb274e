"""Exact passes: instance ids, planar depth and normals, one sample through the centre of each pixel.

Cycles sends the first sample of a pixel through its centre, except for the rounding of its filter table (0.001 px with
the box filter of the RGB image: 0.3 mm of depth on a floor at 6 m); with the narrowest filter that is negligible.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from scenegen.blender.exr import read_exr
from scenegen.blender.runtime import version
from scenegen.errors import SceneError
from scenegen.layout.spec import CameraSpec

MAX_INDEX = 32767  # of Blender's object index; a table maps it to instance ids, which may be any uint16
TRANSPARENT_LAYERS = 64  # leaves and fences: rays pass this many cut-outs before the first opaque surface
SEEN_ALPHA = 0.05  # a surface with a higher alpha is visible: glass of alpha 0.25 has ids, depth and normals


@dataclass(frozen=True, slots=True)
class ExactPasses:
    """depth_m: (H, W) float32, NaN where nothing was hit. instance_id: (H, W) uint16.

    normal_cam: (H, W, 3) float32, unit, OpenCV camera frame, facing the camera, NaN where nothing was hit.
    albedo: (H, W, 3) uint8 sRGB diffuse colour (black for metals and where nothing was hit), None unless asked for.
    """

    depth_m: np.ndarray
    instance_id: np.ndarray
    normal_cam: np.ndarray
    albedo: np.ndarray | None


class InstanceTable:
    """Maps Blender's object index to instance ids, which may exceed 32767 or be shared by several objects (walls)."""

    def __init__(self) -> None:
        self._ids = [0]

    def add(self, scene_object: "bpy.types.Object", instance_id: int) -> None:
        """Register an object. Raises SceneError if the id is no uint16 above 0, or if there are too many objects."""
        if not 0 < instance_id <= np.iinfo(np.uint16).max:
            raise SceneError(f"instance id {instance_id} does not fit; ids are 1 to 65535")
        if len(self._ids) > MAX_INDEX:
            raise SceneError(f"the scene has more than {MAX_INDEX} objects; Blender cannot tell them apart")
        scene_object.pass_index = len(self._ids)
        self._ids.append(instance_id)

    def ids(self, index: np.ndarray) -> np.ndarray:
        """(H, W) object index pass to (H, W) uint16 instance ids."""
        return np.array(self._ids, dtype=np.uint16)[np.rint(index).astype(np.int32)]


@contextmanager
def exact_settings(scene: "bpy.types.Scene", albedo: bool = False) -> Iterator[None]:
    """Within the block a render writes the exact passes into an EXR file; bump and normal maps are disconnected."""
    cycles, layer = scene.cycles, scene.view_layers[0]
    cycles.samples = 1
    cycles.use_adaptive_sampling = False
    cycles.use_denoising = False
    cycles.max_bounces = 0
    cycles.transparent_max_bounces = TRANSPARENT_LAYERS
    layer.pass_alpha_threshold = SEEN_ALPHA
    layer.use_pass_z = layer.use_pass_object_index = layer.use_pass_normal = True
    cycles.pixel_filter_type, cycles.filter_width = "BLACKMAN_HARRIS", 0.01
    layer.use_pass_diffuse_color = albedo
    version.write_multilayer_exr(scene.render.image_settings)
    cut = list(_cut_bump(materials_of(scene)))
    try:
        yield
    finally:
        layer.use_pass_z = layer.use_pass_object_index = layer.use_pass_normal = False
        layer.use_pass_diffuse_color = False
        for tree, start, end in cut:
            tree.links.new(start, end)


def read_exact(path: Path, table: InstanceTable, camera: CameraSpec) -> ExactPasses:
    """Decode the file that a render within `exact_settings` wrote."""
    channels = {name.split(".", 1)[1]: values for name, values in read_exr(path).items()}
    instance_id = table.ids(channels["IndexOB.X"])
    hit = instance_id > 0
    normal_world = np.stack([channels[f"Normal.{axis}"] for axis in "XYZ"], axis=-1)
    normal_cam = facing_camera(normal_world @ camera.matrix_world[:3, :3].astype(np.float32), camera)
    normal_cam[~hit] = np.nan
    depth_m = np.where(hit, channels["Depth.Z"], np.float32(np.nan))
    return ExactPasses(depth_m, instance_id, normal_cam, _albedo(channels))


def _albedo(channels: dict[str, np.ndarray]) -> np.ndarray | None:
    """The diffuse colour, from linear Rec. 709 to 8-bit sRGB (IEC 61966-2-1)."""
    if "DiffCol.R" not in channels:
        return None
    linear = np.clip(np.stack([channels[f"DiffCol.{c}"] for c in "RGB"], axis=-1), 0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255.0 * encoded).astype(np.uint8)


def facing_camera(normal_cam: np.ndarray, camera: CameraSpec) -> np.ndarray:
    """(H, W, 3) normals in the camera frame, normalised, and corrected so that none points away from the camera.

    Smooth normals near a silhouette may point slightly away: these are bent to be perpendicular to the ray, not
    flipped.
    """
    height, width = normal_cam.shape[:2]
    K = camera.K_px
    x = (np.arange(width, dtype=np.float32) + 0.5 - K[0, 2]) / K[0, 0]
    y = (np.arange(height, dtype=np.float32) + 0.5 - K[1, 2]) / K[1, 1]
    ray = np.stack([*np.meshgrid(x, y), np.ones((height, width))], axis=-1).astype(np.float32)
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    away = np.maximum((normal_cam * ray).sum(axis=-1, keepdims=True), 0.0)
    bent = normal_cam - away * ray
    return (bent / np.maximum(np.linalg.norm(bent, axis=-1, keepdims=True), 1e-12)).astype(np.float32)


def materials_of(scene: "bpy.types.Scene") -> "set[bpy.types.Material]":
    """Every material with nodes that an object of the scene has."""
    slots = (slot.material for scene_object in scene.objects for slot in scene_object.material_slots)
    return {material for material in slots if material and material.node_tree}


def _cut_bump(materials: "Iterable[bpy.types.Material]") -> Iterator[tuple]:
    """Remove every link into a normal input of a shader, and yield what is needed to restore it."""
    trees = {material.node_tree for material in materials}
    while trees:
        tree = trees.pop()
        trees |= {node.node_tree for node in tree.nodes if node.type == "GROUP" and node.node_tree}
        bumped = [
            link
            for link in tree.links
            if link.to_socket.name.endswith("Normal") and any(o.type == "SHADER" for o in link.to_node.outputs)
        ]
        for link in bumped:
            ends = tree, link.from_socket, link.to_socket
            tree.links.remove(link)
            yield ends
