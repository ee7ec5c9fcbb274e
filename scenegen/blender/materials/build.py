"""From a MaterialSpec to a Blender material: procedural families and external entries."""

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import bpy
import numpy as np

from scenegen.blender.materials.external import load_external
from scenegen.blender.materials.families import FAMILIES
from scenegen.blender.materials.shader_nodes import Canvas, Signal, Surface
from scenegen.blender.runtime import version
from scenegen.errors import SceneError
from scenegen.layout.spec import MaterialSpec

OFFSET_M = 20.0  # largest offset of a plane on the endless pattern


class MaterialSource(Protocol):
    """Where external materials are: a folder of a PBR texture set, or a .blend file."""

    def path(self, uid: str) -> Path: ...


class MaterialBuilder:
    """Makes materials of planes; the plane's object coordinates must be metres."""

    def __init__(self, source: MaterialSource | None = None) -> None:
        self._source = source

    def build_for_wall(self, spec: MaterialSpec) -> "bpy.types.Material":
        """Like `build`, but brick courses stay horizontal and wallpaper vertical, whatever rotation the spec has."""
        family = FAMILIES.get(spec.family)
        return self.build(replace(spec, rotation_rad=0.0) if family and family.upright else spec)

    def build(self, spec: MaterialSpec) -> "bpy.types.Material":
        """The material of a spec. Raises SceneError for an unknown family, AssetError for a bad external material."""
        if spec.family == "external":
            if self._source is None:
                raise SceneError(f"material {spec.uid} is external, but no materials folder is configured")
            return load_external(self._source.path(spec.uid), spec)
        if spec.family not in FAMILIES:
            raise SceneError(f"there is no material family {spec.family!r}; known: {', '.join(sorted(FAMILIES))}")
        rng = np.random.default_rng(spec.seed)
        material = bpy.data.materials.new(spec.family)
        version.use_nodes(material)
        material.node_tree.nodes.clear()
        canvas = Canvas(material.node_tree)
        canvas.set_coordinates(plane_coordinates(canvas, spec, rng.uniform(0.0, OFFSET_M, size=2)))
        finish(canvas, FAMILIES[spec.family].build(canvas, rng), spec.scale)
        return material


def plane_coordinates(canvas: Canvas, spec: MaterialSpec, offset_m: np.ndarray) -> Signal:
    """Metres in the plane, rotated as the spec says, divided by its scale, shifted by the offset."""
    coordinates = canvas.node("TexCoord")
    mapping = canvas.node("Mapping", vector_type="POINT")
    canvas.feed(mapping.inputs["Vector"], canvas.out(coordinates, "Object"))
    mapping.inputs["Rotation"].default_value[2] = spec.rotation_rad
    mapping.inputs["Scale"].default_value = (1.0 / spec.scale,) * 3
    mapping.inputs["Location"].default_value = (float(offset_m[0]), float(offset_m[1]), 0.0)
    return canvas.out(mapping)


def finish(canvas: Canvas, surface: Surface, scale: float) -> None:
    """Link a surface to a principled shader and the material output; relief scales with the pattern."""
    shader, output = canvas.node("BsdfPrincipled"), canvas.node("OutputMaterial")
    canvas.feed(shader.inputs["Base Color"], surface.color)
    canvas.feed(shader.inputs["Roughness"], surface.roughness)
    canvas.feed(shader.inputs["Metallic"], surface.metallic)
    canvas.feed(shader.inputs["Coat Weight"], surface.coat)
    canvas.feed(shader.inputs["Sheen Weight"], surface.sheen)
    if surface.height_m is not None:
        bump = canvas.node("Bump")
        bump.inputs["Strength"].default_value = 1.0
        bump.inputs["Distance"].default_value = scale
        canvas.feed(bump.inputs["Height"], surface.height_m)
        canvas.feed(shader.inputs["Normal"], canvas.out(bump))
    canvas.tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
