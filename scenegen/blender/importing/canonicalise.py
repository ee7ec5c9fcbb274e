"""Turns one asset file into one canonical GLB: everything visible, baked into a single mesh in a single frame.

The recorded pose of an object is only true if the file that is rendered holds nothing but one mesh at identity. So
roots, parents, instances, modifiers, negative scales and rest poses are resolved here, once, and the result is
imported again exactly as the renderer will and compared with what was baked.

V: vertices. F: triangles. Corners are (F, 3, ...).
"""

from pathlib import Path

import bpy
import numpy as np

from scenegen.assets import glb
from scenegen.assets.bake_request import BakedAsset, BakeRequest, PrincipledLook
from scenegen.assets.canonical import POSE_TOLERANCE, ShapeError, first_of_equal, normalisation, usable_faces, welded
from scenegen.blender.importing import baking, images, importers, mesh_object
from scenegen.blender.importing.material_looks import apply_look, has_textures
from scenegen.blender.importing.mesh_arrays import world_corners
from scenegen.errors import AssetError


def canonicalise(request: BakeRequest, out: Path) -> BakedAsset:
    """Write the canonical GLB of `request.path` to `out` (materials and textures in it, not yet packed).

    Raises AssetError with the reason if the file cannot be imported, has no usable face, too many faces, or
    misses a texture (unless the request allows it).
    """
    uid = request.uid
    try:
        importers.import_file(request.path, request.root)
    except (RuntimeError, ValueError, KeyError, TypeError, IndexError, AttributeError, OSError) as error:
        # The Python importers (glTF, FBX) may raise any error for a malformed file.
        raise AssetError(uid, f"cannot import {request.path.name}: {importers.first_line(error)}") from None
    missing = images.resolve_images(request.path.parent, request.root, request.texture_px)
    if missing and not request.allow_missing_textures:
        raise AssetError(uid, f"missing texture: {', '.join(missing[:3])}")
    _apply_looks(request.looks)
    try:
        baked = baking.bake_scene(request.max_faces, request.simplify_faces)
        mesh = _normalised(baked, request.rotation)
    except ShapeError as error:
        raise AssetError(uid, str(error)) from None
    textured = has_textures(mesh.materials)
    mesh_object.replace_scene_by(mesh, uid)
    _export(out, uid)
    return BakedAsset(faces=len(mesh.faces), textured=textured, missing_textures=tuple(missing))


def check_pose(uid: str, path: Path) -> float:
    """The largest distance between a canonical vertex (read with NumPy) and the same corner as Blender imports it.

    Raises AssetError if it is above 1e-4 or the two readings do not have the same triangles.
    """
    expected = glb.corners(glb.read_glb(path))
    importers.empty_session()
    obj = importers.import_canonical(path, uid)
    bpy.context.view_layer.update()
    found = world_corners(obj)
    if found.shape != expected.shape:
        raise AssetError(uid, f"pose check: {len(found)} faces are rendered, {len(expected)} are canonical")
    error = float(np.abs(found - expected).max())
    if error > POSE_TOLERANCE:
        raise AssetError(uid, f"pose check: a rendered vertex is {error:.2e} away from the canonical one")
    return error


def _normalised(baked: baking.Baked, rotation: tuple[float, ...] | None) -> baking.Baked:
    """The baked mesh in the canonical frame, sorted by material as glTF stores it, without useless faces."""
    vertices, normals = baked.vertices, baked.corner_normals
    if rotation is not None:
        R = np.array(rotation, dtype=np.float64).reshape(3, 3)
        vertices, normals = vertices @ R.T, normals @ R.T
    finite = np.isfinite(vertices).all(axis=1)
    if not finite[baked.faces].all():
        raise ShapeError("NaN or infinite vertices")
    used = np.unique(baked.faces)
    canonical = normalisation(vertices[used]).apply(vertices)
    order = np.flatnonzero(usable_faces(canonical, baked.faces))
    if not len(order):
        raise ShapeError("zero faces with an area")
    order = order[np.argsort(baked.material_index[order], kind="stable")]
    compact, faces = welded(canonical[baked.faces[order]])
    single = first_of_equal(faces)
    return baked.taking(order[single], compact, faces[single], normals)


def _apply_looks(looks: tuple[tuple[str, PrincipledLook], ...]) -> None:
    """Give the named materials the looks that the importer cannot know (old material models)."""
    wanted = dict(looks)
    for material in bpy.data.materials:
        if material.name in wanted:
            apply_look(material, wanted[material.name])


def _export(out: Path, uid: str) -> None:
    with importers.quiet():
        bpy.ops.export_scene.gltf(
            filepath=str(out),
            export_format="GLB",
            export_yup=True,
            export_apply=False,
            export_animations=False,
            export_skins=False,
            export_morph=False,
            export_image_format="AUTO",
            export_jpeg_quality=85,
            export_vertex_color="MATERIAL",
            export_all_vertex_colors=False,
            export_extras=False,
            export_cameras=False,
            export_lights=False,
            will_save_settings=False,
        )
    if not out.is_file():
        raise AssetError(uid, "Blender wrote no GLB")
