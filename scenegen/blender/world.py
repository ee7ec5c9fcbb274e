"""Light: an environment map with rotation and strength, and area lamps; the same for every view.

Maps differ in brightness by more than a factor of 6, four walls block three quarters of the sky, and lamps add light.
As a photographer would, we set the exposure for the light that reaches the floor: all lights of a scene are multiplied
by one gain, so that the brightness of the images follows `LightSpec.strength` and not the room. It is the same in all
views.
"""

import math
from pathlib import Path

import bpy
import numpy as np

from scenegen.blender.runtime import version
from scenegen.errors import SceneGenError
from scenegen.layout.spec import LampSpec, LightSpec, RoomSpec, SceneSpec

MEAN_RADIANCE = 1.1  # W/m^2/sr over the upper half of the sphere at strength 1
WALL_ALBEDO = 0.35
MAX_IMPORTANCE_MAP_PX = 4096


def exposure_gain(spec: SceneSpec) -> float:
    """Factor on every light of the scene: 1 on open floor without lamps, less in brighter rooms, more in dark ones."""
    open_sky = sky_share(spec.room)
    sky = spec.light.strength * (open_sky + WALL_ALBEDO * open_sky * (1.0 - open_sky))
    reach = spec.room.floor_size_m / 4.0
    heights = ((lamp.position_m[2] - spec.room.floor_z_m, lamp.power_w) for lamp in spec.light.lamps)
    lamps = sum(power / math.pi * h**2 / (h**2 + reach**2) ** 2 for h, power in heights)
    return spec.light.strength / (sky + lamps / (math.pi * MEAN_RADIANCE))


def sky_share(room: RoomSpec) -> float:
    """Cosine-weighted share of the sky that the middle of the floor sees over the walls.

    Form factor of a vertical rectangle from a horizontal point: (atan(w/d) - d/r atan(w/r)) / pi, r^2 = d^2 + h^2.
    """
    d = w = room.floor_size_m / 2.0
    r = math.hypot(d, room.wall_height_m)
    return 1.0 - len(room.walls) * (math.atan(w / d) - d / r * math.atan(w / r)) / math.pi


def build_world(light: LightSpec, hdri: Path, gain: float) -> "bpy.types.World":
    """The world lit by `hdri`, its strength times `gain`. Raises SceneGenError if the file is not an image."""
    world = bpy.data.worlds.new("world")
    version.use_nodes(world)
    nodes, links = world.node_tree.nodes, world.node_tree.links
    nodes.clear()
    environment = nodes.new("ShaderNodeTexEnvironment")
    environment.image = load_hdri(hdri)
    # The sun covers a few pixels of the map, and a finer importance map resolves its edge: +0.3 dB at twice the width
    # of the image. Cycles' own choice costs 2 CPU-seconds a scene.
    world.cycles.sampling_method = "MANUAL"
    world.cycles.sample_map_resolution = min(MAX_IMPORTANCE_MAP_PX, 2 * environment.image.size[0])
    coordinates, mapping = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeMapping")
    mapping.inputs["Rotation"].default_value[2] = light.rotation_rad
    background, output = nodes.new("ShaderNodeBackground"), nodes.new("ShaderNodeOutputWorld")
    background.inputs["Strength"].default_value = (
        gain * light.strength * MEAN_RADIANCE / mean_radiance(environment.image)
    )
    links.new(coordinates.outputs["Generated"], mapping.inputs["Vector"])
    links.new(mapping.outputs["Vector"], environment.inputs["Vector"])
    links.new(environment.outputs["Color"], background.inputs["Color"])
    links.new(background.outputs["Background"], output.inputs["Surface"])
    return world


def build_lamp(lamp: LampSpec, gain: float) -> "bpy.types.Object":
    """A square area lamp that shines down; cameras do not see it, reflections do."""
    data = bpy.data.lights.new("lamp", "AREA")
    data.shape, data.size, data.energy, data.color = "SQUARE", lamp.size_m, gain * lamp.power_w, lamp.color_rgb
    lamp_object = bpy.data.objects.new("lamp", data)
    lamp_object.location = lamp.position_m
    lamp_object.visible_camera = False
    bpy.context.scene.collection.objects.link(lamp_object)
    return lamp_object


def load_hdri(path: Path) -> "bpy.types.Image":
    """Load an environment map. Raises SceneGenError if the file is missing or no image."""
    try:
        image = bpy.data.images.load(str(path), check_existing=True)
    except RuntimeError as error:
        raise SceneGenError(f"{path} cannot be opened ({str(error).strip()}); remove it from the HDRI folder") from None
    if 0 in image.size:
        raise SceneGenError(f"{path} is not an image; remove it from the HDRI folder or download it again")
    return image


def mean_radiance(image: "bpy.types.Image") -> float:
    """Mean radiance over the upper half of the sphere and the channels, with pixels weighted by their solid angle.

    Raises SceneGenError if the map is black or not finite.
    """
    width, height = image.size
    pixels = np.empty(width * height * image.channels, dtype=np.float32)
    image.pixels.foreach_get(pixels)
    rows = pixels.reshape(height, width, image.channels)[height // 2 :, :, :3].mean(axis=(1, 2), dtype=np.float64)
    solid_angle = np.cos((np.arange(len(rows)) + 0.5) / height * np.pi)
    mean = float(np.average(rows, weights=solid_angle))
    if not 0.0 < mean < np.inf:
        raise SceneGenError(f"{image.filepath} has a mean radiance of {mean}; it is no light, remove it")
    return mean
