"""Light: an environment map with rotation and strength, and area lamps; the same for every view."""

from pathlib import Path

import bpy

from scenegen.blender import version
from scenegen.errors import SceneGenError
from scenegen.layout.spec import LampSpec, LightSpec


def build_world(light: LightSpec, hdri: Path) -> "bpy.types.World":
    """The world lit by `hdri`. Raises SceneGenError if the file is not an image."""
    world = bpy.data.worlds.new("world")
    version.use_nodes(world)
    nodes, links = world.node_tree.nodes, world.node_tree.links
    nodes.clear()
    environment = nodes.new("ShaderNodeTexEnvironment")
    environment.image = load_hdri(hdri)
    coordinates, mapping = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeMapping")
    mapping.inputs["Rotation"].default_value[2] = light.rotation_rad
    background, output = nodes.new("ShaderNodeBackground"), nodes.new("ShaderNodeOutputWorld")
    background.inputs["Strength"].default_value = light.strength
    links.new(coordinates.outputs["Generated"], mapping.inputs["Vector"])
    links.new(mapping.outputs["Vector"], environment.inputs["Vector"])
    links.new(environment.outputs["Color"], background.inputs["Color"])
    links.new(background.outputs["Background"], output.inputs["Surface"])
    return world


def build_lamp(lamp: LampSpec) -> "bpy.types.Object":
    """A square area lamp shining down; no camera sees it, reflections do."""
    data = bpy.data.lights.new("lamp", "AREA")
    data.shape, data.size, data.energy, data.color = "SQUARE", lamp.size_m, lamp.power_w, lamp.color_rgb
    lamp_object = bpy.data.objects.new("lamp", data)
    lamp_object.location = lamp.position_m
    lamp_object.visible_camera = False
    bpy.context.scene.collection.objects.link(lamp_object)
    return lamp_object


def load_hdri(path: Path) -> "bpy.types.Image":
    """Raises SceneGenError if `path` is missing or no image."""
    try:
        image = bpy.data.images.load(str(path), check_existing=True)
    except RuntimeError as error:
        raise SceneGenError(f"{path} cannot be opened ({str(error).strip()}); remove it from the HDRI folder") from None
    if 0 in image.size:
        raise SceneGenError(f"{path} is not an image; remove it from the HDRI folder or download it again")
    return image
