"""Any asset file into an empty Blender scene, and the canonical GLB as the renderer sees it."""

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import bpy
import numpy as np

from scenegen.assets import glb
from scenegen.assets.nearer import bring_near, is_far_or_extreme, nearer_copy
from scenegen.blender.sizes import read
from scenegen.errors import AssetError


def import_file(path: Path) -> None:
    """Load an asset file into the emptied session. Frames and units are the importers' (z up in Blender).

    A text model far from the origin, or of an extreme size, is loaded from a copy that is near and about 1 long.
    No script of the file runs, no window layout is loaded. Raises ValueError for an unknown suffix,
    RuntimeError (Blender's own) for a file that the importer refuses.
    """
    suffix = path.suffix.lower()
    if suffix not in IMPORTERS:
        raise ValueError(f"unknown format {suffix!r}; one of {', '.join(sorted(IMPORTERS))}")
    empty_session()
    with quiet():
        IMPORTERS[suffix](str(path))
        if is_far_or_extreme(*_bounds()):
            _import_nearer(path)


def _bounds() -> tuple[np.ndarray, np.ndarray]:
    """(3,) lowest and highest local coordinates of all meshes; NaN without any."""
    corners = [np.full((1, 3), np.nan)]
    for mesh in bpy.data.meshes:
        if len(mesh.vertices):
            corners.append(read(mesh.vertices, "co", 3, np.float32).astype(np.float64))
    points = np.concatenate(corners[1:] or corners)
    return points.min(axis=0), points.max(axis=0)


def _import_nearer(path: Path) -> None:
    """Import again from a copy near the origin, if the file is text and so has the digits."""
    with tempfile.TemporaryDirectory() as folder:
        copy = nearer_copy(path, Path(folder))
        if copy is not None:
            empty_session()
            IMPORTERS[path.suffix.lower()](str(copy))


def import_canonical(glb_path: Path, uid: str) -> bpy.types.Object:
    """Add a prepared asset to the current scene: one mesh object named `uid`, at identity.

    Its vertices, in world coordinates, are the canonical vertices. Raises AssetError if the file holds anything else.
    """
    before = set(bpy.data.objects)
    try:
        with quiet():
            bpy.ops.import_scene.gltf(filepath=str(glb_path), import_shading="NORMALS", merge_vertices=False)
    except RuntimeError as error:
        raise AssetError(uid, f"Blender cannot import {glb_path.name} ({first_line(error)})") from None
    new = [obj for obj in bpy.data.objects if obj not in before]
    if len(new) != 1 or new[0].type != "MESH":
        raise AssetError(uid, f"{glb_path.name} holds {len(new)} objects instead of one mesh; prepare it again")
    obj = new[0]
    if any(abs(obj.matrix_basis[i][j] - (i == j)) > 1e-7 for i in range(4) for j in range(4)):
        raise AssetError(uid, f"{glb_path.name} has a transform of its own; prepare it again")
    obj.name = obj.data.name = uid
    return obj


def empty_session() -> None:
    """Forget everything that is loaded; scripts stay off."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.context.preferences.filepaths.use_scripts_auto_execute = False


def first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the importers' chatter (C and Python) off standard output."""
    sys.stdout.flush()
    saved = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)


def _gltf(path: str) -> None:
    with _at_rest_and_near(Path(path)) as still:
        bpy.ops.import_scene.gltf(filepath=str(still), import_shading="NORMALS", merge_vertices=True)


@contextlib.contextmanager
def _at_rest_and_near(path: Path) -> Iterator[Path]:
    """The file, or a copy without animations (Blender's importer would leave the pose of their first frame) and near
    the origin (Blender's transforms have 32 bits).
    """
    binary = path.suffix.lower() == ".glb"
    source = glb.read_glb(path) if binary else glb.Glb(json.loads(path.read_bytes()), b"")
    animated, far = source.json.pop("animations", None), bring_near(source.json)
    if not animated and not far:
        yield path
        return
    for item in (*source.json.get("buffers", []), *source.json.get("images", [])):
        if not item.get("uri", "data:").startswith("data:"):
            item["uri"] = quote(str((path.parent / unquote(item["uri"])).resolve()))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(source.to_bytes() if binary else json.dumps(source.json).encode())
        yield copy


def _obj(path: str) -> None:
    bpy.ops.wm.obj_import(filepath=path, forward_axis="NEGATIVE_Z", up_axis="Y", use_split_objects=False)


def _ply(path: str) -> None:
    bpy.ops.wm.ply_import(filepath=path)


def _stl(path: str) -> None:
    bpy.ops.wm.stl_import(filepath=path)


def _fbx(path: str) -> None:
    bpy.ops.import_scene.fbx(filepath=path, use_anim=False)


def _usd(path: str) -> None:
    bpy.ops.wm.usd_import(filepath=path, import_cameras=False, import_lights=False, import_guide=False)


def _dae(path: str) -> None:
    bpy.ops.wm.collada_import(filepath=path)


def _blend(path: str) -> None:
    bpy.ops.wm.open_mainfile(filepath=path, load_ui=False, use_scripts=False)


IMPORTERS = {
    ".glb": _gltf,
    ".gltf": _gltf,
    ".obj": _obj,
    ".ply": _ply,
    ".stl": _stl,
    ".fbx": _fbx,
    ".usd": _usd,
    ".usda": _usd,
    ".usdc": _usd,
    ".usdz": _usd,
    ".dae": _dae,
    ".blend": _blend,
}
