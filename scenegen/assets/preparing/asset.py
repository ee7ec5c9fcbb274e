"""Prepares one raw asset: checked, brought into canonical form, given convex parts, checked again, written.

The work that may hang or crash (Blender, CoACD) is done by `Tools`, so that the caller decides in which process it runs
and for how long.
"""

import contextlib
import hashlib
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from scenegen.assets import glb
from scenegen.assets.bake_request import BakedAsset, BakeRequest
from scenegen.assets.canonical import welded
from scenegen.assets.manifest import AssetRecord
from scenegen.assets.model_files import archives, safety
from scenegen.assets.model_files.limits import Limits
from scenegen.assets.preparing.convex import ConvexParts
from scenegen.assets.sources.raw import RawAsset
from scenegen.errors import AssetError

UID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")  # it becomes a file name


class Tools(Protocol):
    """The steps that use Blender and CoACD. Each raises AssetError with the reason if the asset cannot be used."""

    def bake(self, request: BakeRequest, out: Path) -> BakedAsset:
        """Write the canonical GLB of a raw asset to `out`, not yet packed."""
        ...

    def check_pose(self, uid: str, path: Path) -> float:
        """The largest distance between a vertex as NumPy and as Blender reads it, in canonical lengths."""
        ...

    def convex_parts(self, uid: str, vertices: np.ndarray, faces: np.ndarray) -> ConvexParts:
        """Convex parts of a mesh, vertices (V, 3) float32 and faces (F, 3) int32, canonical frame."""
        ...


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """How assets are prepared.

    texture_px: textures with a longer side are scaled down. simplify_faces: meshes with more faces are decimated; None
    keeps all faces. sharded_folders: divide the files among 256 folders. limits: the largest raw asset.
    """

    texture_px: int = 1024
    simplify_faces: int | None = None
    allow_missing_textures: bool = False
    sharded_folders: bool = True
    limits: Limits = field(default_factory=Limits)


def prepare_asset(raw: RawAsset, store: Path, tools: Tools, options: PrepareOptions) -> AssetRecord:
    """Write `<store>/objects/<xx>/<uid>.glb` and return its record. Running it again gives the same file.

    Raises AssetError with one line that says what is wrong; then nothing is left in the store.
    """
    if not UID.fullmatch(raw.uid):
        raise AssetError(raw.uid, "path escape: a uid may hold letters, digits, dots, dashes and underscores only")
    with _opened(raw, options.limits) as (path, root), tempfile.TemporaryDirectory() as scratch:
        safety.check_file(raw.uid, path, root, options.limits, missing_ok=options.allow_missing_textures)
        exported = Path(scratch) / "exported.glb"
        request = BakeRequest(
            uid=raw.uid,
            path=path,
            root=root,
            texture_px=options.texture_px,
            max_faces=options.limits.max_faces,
            simplify_faces=options.simplify_faces,
            allow_missing_textures=options.allow_missing_textures,
            rotation=raw.rotation,
            looks=raw.looks,
        )
        baked = tools.bake(request, exported)
        source = glb.read_glb(exported)
        corners = glb.corners(source)
        vertices, faces = welded(corners)
        parts = tools.convex_parts(raw.uid, vertices, faces)
        packed = glb.pack(source, parts.vertices, {"uid": raw.uid, "licence": raw.licence}, raw.attribution)
        data = packed.to_bytes()
        candidate = Path(scratch) / "packed.glb"
        candidate.write_bytes(data)
        tools.check_pose(raw.uid, candidate)
    file = _file_name(raw.uid, options.sharded_folders)
    _write_atomically(store / file, data)
    return _record(raw, file, data, baked, vertices, parts)


@contextlib.contextmanager
def _opened(raw: RawAsset, limits: Limits) -> Iterator[tuple[Path, Path]]:
    """(model file, folder that must contain it), extracted to a temporary folder if the asset is in a zip."""
    if not raw.archive:
        yield Path(raw.path), Path(raw.root)
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            archives.extract(Path(raw.archive), Path(folder), raw.root, limits.max_archive_bytes)
        except archives.ArchiveError as error:
            raise AssetError(raw.uid, str(error)) from None
        yield Path(folder) / raw.path, Path(folder) / raw.root


def _file_name(uid: str, sharded: bool) -> str:
    return f"objects/{hashlib.sha256(uid.encode()).hexdigest()[:2]}/{uid}.glb" if sharded else f"objects/{uid}.glb"


def _write_atomically(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        file.write(data)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def _record(
    raw: RawAsset, file: str, data: bytes, baked: BakedAsset, vertices: np.ndarray, parts: ConvexParts
) -> AssetRecord:
    extents = vertices.max(axis=0) - vertices.min(axis=0)
    x, y, z = (round(float(side), 6) for side in extents)
    return AssetRecord(
        uid=raw.uid,
        source=raw.source,
        file=file,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        licence=raw.licence,
        author=raw.author,
        attribution=raw.attribution,
        commercial_use=raw.commercial_use,
        split=raw.split,
        name=raw.name,
        category=raw.category,
        faces=baked.faces,
        textured=baked.textured,
        extents=(x, y, z),
        aesthetic_score=raw.aesthetic_score,
        parts=len(parts.vertices),
        parts_method=parts.method,
    )
