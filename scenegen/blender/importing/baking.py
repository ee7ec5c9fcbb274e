"""Bakes all visible surfaces of Blender's evaluated scene into the arrays of one triangle mesh.

V: vertices. F: triangles. L: loops (Blender's name of polygon corners).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import bpy
import numpy as np

from scenegen.assets.canonical import ShapeError
from scenegen.assets.model_files.recentre import power_of_two
from scenegen.blender.importing.float_precision import (
    float32_spacing,
    forget_custom_normals,
    refuse_lost_precision,
    rescale_to_unit_size,
)
from scenegen.blender.importing.material_looks import default_material, nodes_of
from scenegen.blender.importing.mesh_arrays import read_attribute

RENDERED = ""
"""Stands for the UV map that is rendered where no node names one."""
MESH_LIKE = {"MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES"}


@dataclass(frozen=True)
class Baked:
    """One triangle mesh in world coordinates.

    vertices: (V, 3) float64. faces: (F, 3) int64. material_index: (F,) into `materials`.
    spacing: distance of neighbouring 32-bit numbers at its coordinates, in the same units; 0 where nothing was rounded.
    corner_normals: (F, 3, 3) float32, unit. corner_color: (F, 3, 4) linear, or None.
    corner_uv: name -> (F, 3, 2), the map RENDERED and those that a material's node names.
    """

    vertices: np.ndarray
    faces: np.ndarray
    material_index: np.ndarray
    corner_normals: np.ndarray
    corner_uv: dict[str, np.ndarray]
    corner_color: np.ndarray | None
    materials: tuple[bpy.types.Material, ...]
    spacing: float

    def taking(self, order: np.ndarray, vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray) -> "Baked":
        """The faces `order` of this mesh, with new vertices, vertex indices and normals."""
        return replace(
            self,
            vertices=vertices,
            faces=faces,
            material_index=self.material_index[order],
            corner_normals=normals[order],
            corner_uv={name: uv[order] for name, uv in self.corner_uv.items()},
            corner_color=None if self.corner_color is None else self.corner_color[order],
        )


def bake_scene(max_faces: int, simplify_faces: int | None) -> Baked:
    """Bake all visible surfaces of the current scene, instances included, in their rest pose.

    Above `simplify_faces` faces the meshes are decimated.
    Raises ShapeError for no face, for more than `max_faces`, and where 32-bit coordinates have lost the shape.
    """
    _take_rest_pose()
    undo_scale = rescale_to_unit_size()
    total = sum(_face_count(instance) for instance in _visible_instances())
    if total > max_faces:
        raise ShapeError(f"{total} faces; the limit is {max_faces}")
    if not total:
        raise ShapeError("zero faces")
    if simplify_faces is not None and total > simplify_faces:
        _decimate(simplify_faces / total)
    slots: dict[str, int] = {}
    materials: list[bpy.types.Material] = []
    pieces, origins = [], []
    for instance in _visible_instances():
        M = np.array(instance.matrix_world, dtype=np.float64)
        if instance.object.type == "MESH":
            M[:3, :3] *= undo_scale.get(instance.object.original.data.name, 1.0)
        piece = _bake_instance(instance.object, M, slots, materials)
        if piece is not None:
            pieces.append(piece)
            origins.append(M[:3, 3])
    if not pieces:
        raise ShapeError("zero faces")
    apart = float(float32_spacing(np.array(origins)).max()) if len(origins) > 1 else 0.0
    baked = _joined(pieces, tuple(materials), apart)
    refuse_lost_precision(baked.vertices[baked.faces], baked.spacing)
    return baked


def _take_rest_pose() -> None:
    for armature in bpy.data.armatures:
        armature.pose_position = "REST"
    scene = bpy.context.scene
    scene.frame_set(max(scene.frame_start, 1))


def _visible_instances() -> Iterator[bpy.types.DepsgraphObjectInstance]:
    depsgraph = bpy.context.evaluated_depsgraph_get()
    rendered = _rendered_objects(bpy.context.view_layer.layer_collection)
    for instance in depsgraph.object_instances:
        obj = instance.object
        shown = instance.parent.original if instance.is_instance else obj.original
        if instance.show_self and obj.type in MESH_LIKE and not obj.original.hide_render and shown in rendered:
            yield instance


def _rendered_objects(layer: bpy.types.LayerCollection) -> set[bpy.types.Object]:
    """The objects in collections that are rendered, and whose parent collections are rendered too."""
    if layer.exclude or layer.collection.hide_render:
        return set()
    return set(layer.collection.objects).union(*(_rendered_objects(child) for child in layer.children))


def _face_count(instance: bpy.types.DepsgraphObjectInstance) -> int:
    """Triangles of the evaluated mesh (a polygon of n corners counts n - 2)."""
    mesh = instance.object.to_mesh()
    try:
        return len(mesh.loops) - 2 * len(mesh.polygons) if mesh is not None else 0
    finally:
        instance.object.to_mesh_clear()


def _decimate(ratio: float) -> None:
    """Collapse edges of all meshes by one ratio before anything is read. UVs follow; normals are recomputed."""
    for obj in bpy.data.objects:
        if obj.type == "MESH" and len(obj.data.polygons) > 50:
            if obj.data.users > 1:
                obj.data = obj.data.copy()
            forget_custom_normals(obj.data)
            modifier = obj.modifiers.new("simplify", "DECIMATE")
            modifier.ratio = ratio
            modifier.use_collapse_triangulate = True
    bpy.context.view_layer.update()


def _bake_instance(
    obj: bpy.types.Object, M: np.ndarray, slots: dict[str, int], materials: list[bpy.types.Material]
) -> Baked | None:
    """M: (4, 4) local to world."""
    mesh = obj.to_mesh(preserve_all_data_layers=True, depsgraph=bpy.context.evaluated_depsgraph_get())
    try:
        if mesh is None or not len(mesh.polygons):
            return None
        local = _material_table(obj, mesh, slots, materials)
        return _bake_mesh(mesh, M, local)
    finally:
        obj.to_mesh_clear()


def _material_table(obj: bpy.types.Object, mesh: bpy.types.Mesh, slots: dict[str, int], materials: list) -> np.ndarray:
    """Index of each of the object's material slots in the joined list; an empty slot gets a plain grey."""
    found = [slot.material for slot in obj.material_slots] or list(mesh.materials) or [None]
    table = []
    for material in found:
        material = (material.original if material else None) or default_material(mesh)
        if material.name not in slots:
            slots[material.name] = len(materials)
            materials.append(material)
        table.append(slots[material.name])
    return np.array(table)


def _bake_mesh(mesh: bpy.types.Mesh, M: np.ndarray, table: np.ndarray) -> Baked:
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles)
    local = read_attribute(mesh.vertices, "co", 3, np.float32).astype(np.float64)
    vertices = local @ M[:3, :3].T + M[:3, 3]
    faces = read_attribute(mesh.loop_triangles, "vertices", 3, np.int32)
    loops = read_attribute(mesh.loop_triangles, "loops", 3, np.int32)
    polygon = read_attribute(mesh.loop_triangles, "polygon_index", 1, np.int32)[:, 0]
    slot = read_attribute(mesh.polygons, "material_index", 1, np.int32)[:, 0][polygon]
    normals = read_attribute(mesh.corner_normals, "vector", 3, np.float32)
    linear = M[:3, :3] * power_of_two(float(np.abs(M[:3, :3]).max()))
    determinant = np.linalg.det(linear)
    if abs(determinant) > 1e-18:
        normals = normals @ np.linalg.inv(linear)
        if determinant < 0:  # a reflection flips the winding: undo it, so that the outside stays outside
            faces, loops = faces[:, ::-1], loops[:, ::-1]
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    color = _active_color(mesh)
    return Baked(
        vertices,
        faces.astype(np.int64).reshape(count, 3),
        table[np.clip(slot, 0, len(table) - 1)],
        normals[loops].astype(np.float32),
        {name: uv[loops] for name, uv in _used_uv(mesh).items()},
        None if color is None else color[loops],
        (),
        float((np.abs(M[:3, :3]) @ float32_spacing(local[np.unique(faces)])).max()),
    )


def _used_uv(mesh: bpy.types.Mesh) -> dict[str, np.ndarray]:
    """name -> (L, 2) of the UV map that is rendered and of those that a material's node names."""
    named = {node.uv_map for node in nodes_of(bpy.data.materials) if node.type == "UVMAP"}
    layers = {uv.name: uv for uv in mesh.uv_layers if uv.name in named}
    layers |= {RENDERED: next(uv for uv in mesh.uv_layers if uv.active_render)} if mesh.uv_layers else {}
    return {name: read_attribute(layer.uv, "vector", 2, np.float32) for name, layer in layers.items()}


def _active_color(mesh: bpy.types.Mesh) -> np.ndarray | None:
    """(L, 4) linear colours of the attribute that is rendered; None without one."""
    index = mesh.color_attributes.render_color_index
    if not 0 <= index < len(mesh.color_attributes):
        return None
    attribute = mesh.color_attributes[index]
    color = read_attribute(attribute.data, "color", 4, np.float32)
    if attribute.domain != "POINT":
        return color
    return color[read_attribute(mesh.loops, "vertex_index", 1, np.int32)[:, 0]]


def _joined(pieces: list[Baked], materials: tuple[bpy.types.Material, ...], apart: float) -> Baked:
    """All pieces as one mesh. apart: the spacing of 32-bit numbers at the pieces' origins."""
    starts = np.cumsum([0, *(len(piece.vertices) for piece in pieces[:-1])])

    def uv(name: str) -> np.ndarray:
        """A piece without a map of that name uses the one that is rendered."""
        blank = [np.zeros((len(p.faces), 3, 2), np.float32) for p in pieces]
        found = [p.corner_uv.get(name, p.corner_uv.get(RENDERED, b)) for p, b in zip(pieces, blank, strict=True)]
        return np.concatenate(found)

    colored = any(piece.corner_color is not None for piece in pieces)
    white = [np.ones((len(p.faces), 3, 4), np.float32) for p in pieces]

    return Baked(
        np.concatenate([piece.vertices for piece in pieces]),
        np.concatenate([piece.faces + start for piece, start in zip(pieces, starts, strict=True)]),
        np.concatenate([piece.material_index for piece in pieces]),
        np.concatenate([piece.corner_normals for piece in pieces]),
        {name: uv(name) for name in sorted({name for piece in pieces for name in piece.corner_uv})},
        np.concatenate([w if p.corner_color is None else p.corner_color for p, w in zip(pieces, white, strict=True)])
        if colored
        else None,
        materials,
        max(apart, *(piece.spacing for piece in pieces)),
    )
