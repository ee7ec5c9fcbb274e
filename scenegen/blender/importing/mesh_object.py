"""Puts a baked mesh back into Blender as the only object of the scene, to be exported as the canonical GLB."""

import bpy
import numpy as np

from scenegen.blender.importing.baking import Baked
from scenegen.blender.importing.material_looks import COLOR_NAME, has_textures, nodes_of

UV_NAME = "UVMap"


def replace_scene_by(baked: Baked, name: str) -> bpy.types.Object:
    """Remove every object of the scene, and add one mesh object with the baked data, without a transform."""
    mesh = bpy.data.meshes.new(name)
    count = len(baked.faces)
    mesh.vertices.add(len(baked.vertices))
    mesh.vertices.foreach_set("co", np.ascontiguousarray(baked.vertices, np.float32).ravel())
    mesh.loops.add(3 * count)
    mesh.loops.foreach_set("vertex_index", np.ascontiguousarray(baked.faces, np.int32).ravel())
    mesh.polygons.add(count)
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * count, 3, dtype=np.int32))
    for material in baked.materials:
        mesh.materials.append(material)
    mesh.polygons.foreach_set("material_index", baked.material_index.astype(np.int32))
    uv_names = _add_uv_maps(mesh, baked.corner_uv) if has_textures(baked.materials) else {}
    if baked.corner_color is not None:
        attribute = mesh.color_attributes.new(COLOR_NAME, "FLOAT_COLOR", "CORNER")
        attribute.data.foreach_set("color", np.ascontiguousarray(baked.corner_color, np.float32).ravel())
    mesh.update(calc_edges=True)
    mesh.polygons.foreach_set("use_smooth", np.ones(count, dtype=bool))
    mesh.normals_split_custom_set(baked.corner_normals.reshape(-1, 3))
    _point_nodes_at_the_kept_layers(baked.materials, uv_names)
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj, do_unlink=True)
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(obj)
    return obj


def _add_uv_maps(mesh: bpy.types.Mesh, corner_uv: dict[str, np.ndarray]) -> dict[str, str]:
    """Add the UV maps to the mesh, equal ones once: source name -> name in the mesh."""
    names: dict[str, str] = {}
    kept: list[tuple[str, np.ndarray]] = []
    for source, uv in sorted(corner_uv.items()):  # RENDERED comes first
        equal = next((name for name, other in kept if np.array_equal(other, uv)), None)
        if equal is None:
            equal = UV_NAME if not kept else f"{UV_NAME}.{len(kept):03d}"
            mesh.uv_layers.new(name=equal).uv.foreach_set("vector", np.ascontiguousarray(uv).ravel())
            kept.append((equal, uv))
        names[source] = equal
    return names


def _point_nodes_at_the_kept_layers(materials: tuple[bpy.types.Material, ...], uv_names: dict[str, str]) -> None:
    """UV maps have new names, and only the rendered colour attribute is kept: make the nodes use those."""
    for node in nodes_of(materials):
        if node.type == "UVMAP":
            node.uv_map = uv_names.get(node.uv_map, UV_NAME)
        elif node.type == "VERTEX_COLOR":
            node.layer_name = COLOR_NAME
