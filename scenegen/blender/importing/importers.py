"""Imports any asset file into an empty Blender scene, and the canonical GLB exactly as the renderer does."""

import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np

from scenegen.assets import glb
from scenegen.assets.model_files import gltf, mtl, ply, stl
from scenegen.assets.model_files.lookup import DAE_IMAGE, USD_ASSET, find_file, with_full_paths
from scenegen.assets.model_files.recentre import needs_recentring, recentre_gltf, recentred_copy
from scenegen.blender.importing.material_looks import textured_material
from scenegen.blender.importing.mesh_arrays import read_attribute
from scenegen.errors import AssetError


def import_file(path: Path, root: Path) -> None:
    """Empty the session and load an asset file. Frame and units are those of the importers (z up in Blender).

    root: the folder below which the files that it names are looked up.
    A text model that is far from the origin or of an extreme size is loaded from a recentred copy of a size of about 1.
    No script of the file runs, and no window layout is loaded. Raises ValueError for an unknown suffix, RuntimeError
    (Blender's own) for a file that the importer refuses.
    """
    suffix = path.suffix.lower()
    if suffix not in IMPORTERS:
        raise ValueError(f"unknown format {suffix!r}; one of {', '.join(sorted(IMPORTERS))}")
    empty_session()
    with quiet():
        IMPORTERS[suffix](path, path.parent, root)
        if needs_recentring(*_bounds()):
            _import_recentred(path, root)


def _bounds() -> tuple[np.ndarray, np.ndarray]:
    """(3,) lowest and highest local coordinates of all meshes; NaN without any."""
    corners = [np.full((1, 3), np.nan)]
    for mesh in bpy.data.meshes:
        if len(mesh.vertices):
            corners.append(read_attribute(mesh.vertices, "co", 3, np.float32).astype(np.float64))
    points = np.concatenate(corners[1:] or corners)
    return points.min(axis=0), points.max(axis=0)


def _import_recentred(path: Path, root: Path) -> None:
    """Import again from a recentred copy, if the file is text and so has all digits."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = recentred_copy(path, Path(scratch))
        if copy is not None:
            empty_session()
            IMPORTERS[path.suffix.lower()](copy, path.parent, root)


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
    """Remove everything that is loaded; scripts of files stay disabled."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.context.preferences.filepaths.use_scripts_auto_execute = False


def first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the importers print (from C and Python) off standard output."""
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


# Arguments of each importer: the file to read, the folder from which names in it are looked up, and the root that holds
# all files it may use.


def _gltf(path: Path, folder: Path, root: Path) -> None:
    binary = path.suffix.lower() == ".glb"
    source = glb.read_glb(path) if binary else glb.Glb(json.loads(path.read_bytes()), b"")
    changed = gltf.importable(source.json, folder, root)
    recentre_gltf(changed)
    with tempfile.TemporaryDirectory() as scratch:
        if changed != source.json or not binary:
            path = Path(scratch) / path.name
            text = json.dumps(changed).encode()
            path.write_bytes(glb.Glb(changed, source.binary).to_bytes() if binary else text)
        bpy.ops.import_scene.gltf(filepath=str(path), import_shading="NORMALS", merge_vertices=True)


def _obj(path: Path, folder: Path, root: Path) -> None:
    """Through a link in a scratch folder, beside which is the one material library that the importer finds."""
    with tempfile.TemporaryDirectory() as scratch:
        link = Path(scratch) / "model.obj"
        link.symlink_to(path.resolve())
        link.with_suffix(".mtl").write_bytes(mtl.merged_library(path, folder, root))
        bpy.ops.wm.obj_import(filepath=str(link), forward_axis="NEGATIVE_Z", up_axis="Y", use_split_objects=False)


def _ply(path: Path, folder: Path, root: Path) -> None:
    """With the image that MeshLab names in a comment, on the vertices' texture coordinates, whatever their names."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    header = head[: head.index(b"end_header")]
    texture, names = ply.texture_name(header.decode("utf-8", "replace")), ply.uv_names(header.decode("latin-1"))
    with tempfile.TemporaryDirectory() as scratch:
        source = path
        if names not in (None, ply.UV_NAMES[0]):
            source = Path(scratch) / path.name
            with path.open("rb") as rest, source.open("wb") as copy:
                rest.seek(len(header))
                copy.write(ply.with_uv_names(header, names))
                shutil.copyfileobj(rest, copy)
        bpy.ops.wm.ply_import(filepath=str(source))
    image = find_file(texture, folder, root) if texture and names else None
    if image is not None:
        for mesh in bpy.data.meshes:
            mesh.materials.append(textured_material(image))


def _stl(path: Path, folder: Path, root: Path) -> None:
    del folder, root
    changed = stl.importable(path)
    with tempfile.TemporaryDirectory() as scratch:
        if changed is not None:
            path = Path(scratch) / path.name
            path.write_bytes(changed)
        bpy.ops.wm.stl_import(filepath=str(path))


def _fbx(path: Path, folder: Path, root: Path) -> None:
    del folder, root
    bpy.ops.import_scene.fbx(filepath=str(path), use_anim=False)


def _usd(path: Path, folder: Path, root: Path) -> None:
    with _with_full_paths(path, folder, root, USD_ASSET, uris=False) as changed:
        options = {"import_cameras": False, "import_lights": False, "import_guide": False}
        bpy.ops.wm.usd_import(filepath=str(changed), **options)


def _dae(path: Path, folder: Path, root: Path) -> None:
    with _with_full_paths(path, folder, root, DAE_IMAGE, uris=True) as changed:
        bpy.ops.wm.collada_import(filepath=str(changed))


@contextlib.contextmanager
def _with_full_paths(path: Path, folder: Path, root: Path, names: re.Pattern[bytes], uris: bool) -> Iterator[Path]:
    """The file, or a copy that names images by their full paths: these importers do not report missing images."""
    with path.open("rb") as file:
        binary = file.read(4) in (b"PXR-", b"PK\x03\x04")
    with tempfile.TemporaryDirectory() as scratch:
        if not binary:
            text = path.read_bytes()
            changed = with_full_paths(text, names, folder, root, uris)
            if changed != text:
                path = Path(scratch) / path.name
                path.write_bytes(changed)
        yield path


def _blend(path: Path, folder: Path, root: Path) -> None:
    del folder, root
    bpy.ops.wm.open_mainfile(filepath=str(path), load_ui=False, use_scripts=False)


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
