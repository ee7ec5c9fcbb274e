"""What Blender's evaluated scene holds, as arrays, and back as one object. Used by canonicalise.py."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import bpy
import numpy as np

from scenegen.assets.bake import PrincipledLook
from scenegen.assets.canonical import ShapeError
from scenegen.assets.model_files.nearer import power_of_two
from scenegen.blender import sizes
from scenegen.blender.sizes import read

UV_NAME, COLOR_NAME = "UVMap", "Color"
RENDERED = ""
MESH_LIKE = {"MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES"}


@dataclass(frozen=True)
class Baked:
    """One triangle mesh in world coordinates.

    vertices: (V, 3) float64. faces: (F, 3) int64. material_index: (F,) into `materials`.
    step: how far the 32-bit numbers next to its coordinates are, in the same units; 0 where they lost nothing.
    corner_normals: (F, 3, 3) float32, unit. corner_color: (F, 3, 4) linear, or None.
    corner_uv: name -> (F, 3, 2); RENDERED is the map that is used where no node names one, the others those named.
    """

    vertices: np.ndarray
    faces: np.ndarray
    material_index: np.ndarray
    corner_normals: np.ndarray
    corner_uv: dict[str, np.ndarray]
    corner_color: np.ndarray | None
    materials: tuple[bpy.types.Material, ...]
    step: float

    def taking(self, order: np.ndarray, vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray) -> "Baked":
        """The faces of `order`, now over the given vertices."""
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
    """All visible surfaces of the current scene, instances included, in their rest pose.

    Raises ShapeError for no face, for more than `max_faces`, and where 32-bit coordinates have lost the shape; above
    `simplify_faces` the meshes are decimated.
    """
    _take_rest_pose()
    back = sizes.to_handy_sizes()
    total = sum(_face_count(instance) for instance in _visible_instances())
    if total > max_faces:
        raise ShapeError(f"{total} faces; the limit is {max_faces}")
    if not total:
        raise ShapeError("zero faces")
    if simplify_faces is not None and total > simplify_faces:
        _decimate(simplify_faces / total)
    slots: dict[str, int] = {}
    materials: list[bpy.types.Material] = []
    pieces, places = [], []
    for instance in _visible_instances():
        M = np.array(instance.matrix_world, dtype=np.float64)
        if instance.object.type == "MESH":
            M[:3, :3] *= back.get(instance.object.original.data.name, 1.0)
        piece = _bake_instance(instance.object, M, slots, materials)
        if piece is not None:
            pieces.append(piece)
            places.append(M[:3, 3])
    if not pieces:
        raise ShapeError("zero faces")
    apart = float(sizes.step(np.array(places)).max()) if len(places) > 1 else 0.0
    baked = _joined(pieces, tuple(materials), apart)
    sizes.refuse_lost_digits(baked.vertices[baked.faces], baked.step)
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
    """The objects that lie in a collection that is rendered (its parents too)."""
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
    """Collapse edges of all meshes by one ratio, before anything is read; UVs follow, normals are made anew."""
    for obj in bpy.data.objects:
        if obj.type == "MESH" and len(obj.data.polygons) > 50:
            if obj.data.users > 1:
                obj.data = obj.data.copy()
            sizes.forget_custom_normals(obj.data)
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
        material = (material.original if material else None) or _default_material(mesh)
        if material.name not in slots:
            slots[material.name] = len(materials)
            materials.append(material)
        table.append(slots[material.name])
    return np.array(table)


def _default_material(mesh: bpy.types.Mesh) -> bpy.types.Material:
    """Grey, or the mesh's vertex colours where it has some (PLY scans)."""
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


def _bake_mesh(mesh: bpy.types.Mesh, M: np.ndarray, table: np.ndarray) -> Baked:
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles)
    local = read(mesh.vertices, "co", 3, np.float32).astype(np.float64)
    vertices = local @ M[:3, :3].T + M[:3, 3]
    faces = read(mesh.loop_triangles, "vertices", 3, np.int32)
    loops = read(mesh.loop_triangles, "loops", 3, np.int32)
    polygon = read(mesh.loop_triangles, "polygon_index", 1, np.int32)[:, 0]
    slot = read(mesh.polygons, "material_index", 1, np.int32)[:, 0][polygon]
    normals = read(mesh.corner_normals, "vector", 3, np.float32)
    turn = M[:3, :3] * power_of_two(float(np.abs(M[:3, :3]).max()))
    determinant = np.linalg.det(turn)
    if abs(determinant) > 1e-18:
        normals = normals @ np.linalg.inv(turn)
        if determinant < 0:  # a mirror turns the winding; the outside stays outside
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
        float((np.abs(M[:3, :3]) @ sizes.step(local[np.unique(faces)])).max()),
    )


def _used_uv(mesh: bpy.types.Mesh) -> dict[str, np.ndarray]:
    """name -> (L, 2) of the map that is rendered and of those that a material's node names."""
    named = {node.uv_map for node in nodes_of(bpy.data.materials) if node.type == "UVMAP"}
    layers = {uv.name: uv for uv in mesh.uv_layers if uv.name in named}
    layers |= {RENDERED: next(uv for uv in mesh.uv_layers if uv.active_render)} if mesh.uv_layers else {}
    return {name: read(layer.uv, "vector", 2, np.float32) for name, layer in layers.items()}


def _active_color(mesh: bpy.types.Mesh) -> np.ndarray | None:
    """(L, 4) linear colours of the attribute that is rendered, one a corner."""
    index = mesh.color_attributes.render_color_index
    if not 0 <= index < len(mesh.color_attributes):
        return None
    attribute = mesh.color_attributes[index]
    color = read(attribute.data, "color", 4, np.float32)
    return color[read(mesh.loops, "vertex_index", 1, np.int32)[:, 0]] if attribute.domain == "POINT" else color


def _joined(pieces: list[Baked], materials: tuple[bpy.types.Material, ...], apart: float) -> Baked:
    """One mesh of all pieces. apart: the step of the places where the pieces lie."""
    starts = np.cumsum([0, *(len(piece.vertices) for piece in pieces[:-1])])

    def uv(name: str) -> np.ndarray:
        """A piece without a map of that name is seen through the one that is rendered."""
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
        max(apart, *(piece.step for piece in pieces)),
    )


def replace_scene_by(baked: Baked, name: str) -> bpy.types.Object:
    """Remove every object and leave one mesh object at identity with the baked data."""
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
    """Give the mesh the maps that differ; what each is called now."""
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
    """UV maps have other names now, and of the colours only the rendered ones are kept."""
    for node in nodes_of(materials):
        if node.type == "UVMAP":
            node.uv_map = uv_names.get(node.uv_map, UV_NAME)
        elif node.type == "VERTEX_COLOR":
            node.layer_name = COLOR_NAME


def nodes_of(materials: Iterable[bpy.types.Material]) -> Iterator[bpy.types.Node]:
    for material in materials:
        if material.use_nodes:
            yield from material.node_tree.nodes


def world_corners(obj: bpy.types.Object) -> np.ndarray:
    """(F, 3, 3) float32 world coordinates of the object's triangles, in the order of its polygons."""
    mesh = obj.data
    points = read(mesh.vertices, "co", 3, np.float32)
    M = np.array(obj.matrix_world, dtype=np.float32)
    index = read(mesh.loops, "vertex_index", 1, np.int32)[:, 0]
    return (points @ M[:3, :3].T + M[:3, 3])[index].reshape(-1, 3, 3)


def has_textures(materials: tuple[bpy.types.Material, ...]) -> bool:
    return any(node.type == "TEX_IMAGE" and node.image is not None for node in nodes_of(materials))


def apply_look(material: bpy.types.Material, look: PrincipledLook) -> None:
    """Set the material's Principled inputs; a texture on the base colour stays if the look says so."""
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
