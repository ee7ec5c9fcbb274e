"""Materials of an imported asset: Principled values set from outside, images as colours, and what a material uses."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import bpy

from scenegen.assets.bake_request import PrincipledLook

COLOR_NAME = "Color"
"""The colour attribute of every baked mesh that has vertex colours."""


def nodes_of(materials: Iterable[bpy.types.Material]) -> Iterator[bpy.types.Node]:
    """The shader nodes of all materials, without those inside node groups."""
    for material in materials:
        if material.use_nodes:
            yield from material.node_tree.nodes


def has_textures(materials: tuple[bpy.types.Material, ...]) -> bool:
    """Whether any of the materials has an image texture."""
    return any(node.type == "TEX_IMAGE" and node.image is not None for node in nodes_of(materials))


def apply_look(material: bpy.types.Material, look: PrincipledLook) -> None:
    """Set the inputs of the material's Principled shader. A texture on the base colour stays if the look says so."""
    material.use_nodes = True
    shader = _principled(material)
    values = {
        "Base Color": (*look.base_color, 1.0),
        "Metallic": look.metallic,
        "Roughness": look.roughness,
        "Alpha": look.alpha,
        "Emission Strength": look.emission,
    }
    for name, value in values.items():
        socket = shader.inputs[name]
        if socket.is_linked and not (look.keep_texture and name == "Base Color"):
            for link in list(socket.links):
                material.node_tree.links.remove(link)
        socket.default_value = value
    if look.emission:
        shader.inputs["Emission Color"].default_value = (*look.base_color, 1.0)
    material.use_backface_culling = False


def textured_material(image: Path) -> bpy.types.Material:
    """A matt surface with an image as its colour."""
    material = bpy.data.materials.new(image.stem)
    apply_look(material, PrincipledLook((1.0, 1.0, 1.0), roughness=0.6))
    tree = material.node_tree
    source = tree.nodes.new("ShaderNodeTexImage")
    source.image = bpy.data.images.load(str(image))
    tree.links.new(source.outputs["Color"], _principled(material).inputs["Base Color"])
    return material


def _principled(material: bpy.types.Material) -> bpy.types.Node:
    material.use_nodes = True
    tree = material.node_tree
    for node in tree.nodes:
        if node.type == "BSDF_PRINCIPLED":
            return node
    shader = tree.nodes.new("ShaderNodeBsdfPrincipled")
    output = next((n for n in tree.nodes if n.type == "OUTPUT_MATERIAL"), None) or tree.nodes.new(
        "ShaderNodeOutputMaterial"
    )
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    return shader


def default_material(mesh: bpy.types.Mesh) -> bpy.types.Material:
    """The material of faces that have none: grey, or the mesh's vertex colours where it has some (PLY scans)."""
    colored = len(mesh.color_attributes) > 0
    name = "vertex colours" if colored else "plain"
    if name in bpy.data.materials:
        return bpy.data.materials[name]
    material = bpy.data.materials.new(name)
    apply_look(material, PrincipledLook((0.6, 0.6, 0.6), roughness=0.6, keep_texture=False))
    if colored:
        tree = material.node_tree
        source = tree.nodes.new("ShaderNodeVertexColor")
        source.layer_name = COLOR_NAME
        tree.links.new(source.outputs["Color"], _principled(material).inputs["Base Color"])
    return material
