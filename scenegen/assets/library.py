"""The assets that scenes may use: prepared stores, their manifests, filters, and verified files.

A prepared store is a folder with `manifest.jsonl` and one GLB for each asset (see glb.py). The embedded starter pack is
such a store; its manifest is with the others in assets_manifest/.
"""

import functools
import hashlib
import json
import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scenegen.assets import glb
from scenegen.assets.canonical import welded
from scenegen.assets.manifest import AssetRecord, read_manifest
from scenegen.assets.package_data import MANIFESTS, PACKAGE
from scenegen.assets.painted import PaintedPart, painted_parts
from scenegen.config import AssetsConfig
from scenegen.errors import AssetError, SceneGenError, UsageError

STARTER = "starter"
# Decoded meshes kept in memory: 128 of 10k faces are about 25 MB.
CACHED_ASSETS = 128


@dataclass(frozen=True, slots=True)
class CanonicalMesh:
    """The shape of an asset in its canonical frame: centred, longest side 1, z up.

    vertices: (V, 3) float32, each position once. faces: (F, 3) int32, in the order of the rendered triangles.
    The arrays are read-only.
    """

    vertices: np.ndarray
    faces: np.ndarray


@dataclass(frozen=True, slots=True)
class Store:
    """A prepared store: where its files and its manifest are."""

    name: str
    root: Path
    manifest: Path

    @classmethod
    def named(cls, name: str) -> "Store":
        """ "starter", or a folder made by `scenegen assets prepare`. Raises UsageError if it is neither."""
        if name == STARTER:
            return cls(name, PACKAGE / STARTER, MANIFESTS / "objects" / "starter.jsonl")
        root = Path(name)
        manifest = root / "manifest.jsonl"
        if not root.is_dir():
            raise UsageError(f"there is no asset store {name}; give {STARTER!r} or a folder made by: {PREPARE_HINT}")
        if not manifest.is_file():
            raise UsageError(
                f"{name} has no manifest.jsonl, so it is not a prepared store; make one with: {PREPARE_HINT}"
            )
        return cls(name, root, manifest)


PREPARE_HINT = "scenegen assets prepare --source folder --input RAW --out STORE"


class AssetLibrary:
    """Read access to prepared stores. Cheap to open; files are read, verified and cached when they are asked for.

    records: uid -> record, in the order of the uids.
    """

    def __init__(self, records: dict[str, AssetRecord], roots: dict[str, Path]) -> None:
        self.records = dict(sorted(records.items()))
        self._roots = roots
        self._verified: set[str] = set()
        self._files = _Recent(self._read, CACHED_ASSETS // 8)
        self._meshes = _Recent(self._decode_mesh, CACHED_ASSETS)
        self._parts = _Recent(self._decode_parts, 32 * CACHED_ASSETS)

    @classmethod
    def open(cls, config: AssetsConfig, exclude: Iterable[str] = ()) -> "AssetLibrary":
        """The assets of the configured stores that pass the filters, without the uids in `exclude`.

        Raises UsageError for a store that is not one and when nothing is left (saying which filter removed what),
        SceneGenError for two different assets of one uid.
        """
        found: dict[str, AssetRecord] = {}
        roots: dict[str, Path] = {}
        for store in map(Store.named, config.objects):
            for record in read_manifest(store.manifest):
                if record.uid in found and found[record.uid].sha256 != record.sha256:
                    raise SceneGenError(f"two stores hold different assets of uid {record.uid}; use one of them")
                found[record.uid] = record
                roots[record.uid] = store.root
        kept, removed = _filtered(found, config, frozenset(exclude))
        if not kept:
            reasons = ", ".join(f"{count} by {name}" for name, count in removed.items()) or "the stores are empty"
            stores = ", ".join(config.objects)
            raise UsageError(f"no asset is left of {len(found)} in {stores} ({reasons}); relax a filter or add assets")
        return cls(kept, {uid: roots[uid] for uid in kept})

    @property
    def digest(self) -> str:
        """sha256 over all records: equal digests mean the same assets with the same files and splits."""
        lines = (json.dumps(asdict(record), sort_keys=True) for record in self.records.values())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def mesh(self, uid: str) -> CanonicalMesh:
        """The canonical mesh of an asset. Raises AssetError if its file is missing, changed or malformed."""
        return self._meshes.get(uid)

    def painted(self, uid: str) -> tuple[PaintedPart, ...]:
        """The mesh by material, with colours and textures. Raises AssetError as `mesh` does."""
        try:
            return painted_parts(self._files.get(uid))
        except (glb.GlbError, KeyError, TypeError, IndexError, OSError) as error:
            raise AssetError(uid, f"malformed GLB ({error})") from None

    def convex_parts(self, uid: str) -> tuple[np.ndarray, ...]:
        """Hull vertices of each convex part, (P, 3) float32, canonical frame; together they cover the mesh.

        Raises AssetError if the file is missing, changed or malformed.
        """
        return self._parts.get(uid)

    def glb_path(self, uid: str) -> Path:
        """The canonical GLB (one mesh, glTF's y up), its sha256 verified once in this process.

        Raises AssetError if the file is missing or is not the one of the manifest.
        """
        path = self._path(uid)
        if uid not in self._verified:
            self._bytes(uid)
        return path

    def _path(self, uid: str) -> Path:
        if uid not in self.records:
            raise AssetError(uid, "not in this library; check the stores and filters of the configuration")
        root = self._roots[uid]
        path = root / self.records[uid].file
        if not path.resolve().is_relative_to(root.resolve()):
            raise AssetError(uid, f"its file {self.records[uid].file} leaves the store; mend the manifest")
        return path

    def _bytes(self, uid: str) -> bytes:
        path, record = self._path(uid), self.records[uid]
        try:
            data = path.read_bytes()
        except OSError as error:
            raise AssetError(uid, f"cannot read {path} ({error.strerror}); fetch or prepare it again") from None
        if uid not in self._verified:
            if hashlib.sha256(data).hexdigest() != record.sha256:
                raise AssetError(uid, f"{path.name} is not the file of the manifest (sha256 differs); prepare it again")
            self._verified.add(uid)
        return data

    def _read(self, uid: str) -> glb.Glb:
        try:
            return glb.Glb.from_bytes(self._bytes(uid))
        except glb.GlbError as error:
            raise AssetError(uid, str(error)) from None

    def _decode_mesh(self, uid: str) -> CanonicalMesh:
        try:
            vertices, faces = welded(glb.corners(self._files.get(uid)))
        except (glb.GlbError, KeyError, TypeError, IndexError) as error:
            raise AssetError(uid, f"malformed GLB ({error})") from None
        return CanonicalMesh(_frozen(vertices), _frozen(faces))

    def _decode_parts(self, uid: str) -> tuple[np.ndarray, ...]:
        try:
            return tuple(_frozen(part) for part in glb.convex_parts(self._files.get(uid)))
        except glb.GlbError as error:
            raise AssetError(uid, str(error)) from None


def _filtered(
    found: dict[str, AssetRecord], config: AssetsConfig, exclude: frozenset[str]
) -> tuple[dict[str, AssetRecord], Counter]:
    """The records that pass, and how many each filter removed (an asset counts for the first filter that it fails)."""
    tests: dict[str, Callable[[AssetRecord], bool]] = {
        f"split={config.split}": lambda r: config.split in ("all", r.split),
        "quarantine": lambda r: r.uid not in exclude,
        f"licences={','.join(config.licences)}": lambda r: not config.licences or r.licence in config.licences,
        f"min_aesthetic_score={config.min_aesthetic_score}": lambda r: (
            config.min_aesthetic_score is None
            or r.aesthetic_score is None
            or r.aesthetic_score >= config.min_aesthetic_score
        ),
        f"max_faces={config.max_faces}": lambda r: config.max_faces is None or r.faces <= config.max_faces,
    }
    kept: dict[str, AssetRecord] = {}
    removed: Counter[str] = Counter()
    for uid, record in found.items():
        failed = next((name for name, passes in tests.items() if not passes(record)), None)
        if failed is None:
            kept[uid] = record
        else:
            removed[failed] += 1
    return kept, removed


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


class _Recent:
    """The last `size` results of `load`, by key."""

    def __init__(self, load: Callable[[str], Any], size: int) -> None:
        self._load, self._size = load, size
        self._items: OrderedDict[str, Any] = OrderedDict()

    def get(self, key: str) -> Any:
        if key in self._items:
            self._items.move_to_end(key)
            return self._items[key]
        value = self._items[key] = self._load(key)
        if len(self._items) > self._size:
            self._items.popitem(last=False)
        return value


def canonical_mesh(uid: str, library: AssetLibrary | None = None) -> CanonicalMesh:
    """Vertices (V, 3) and faces (F, 3) of an asset, canonical frame: centred, longest side 1, z up.

    library: where to look; None means the starter pack and the stores named in SCENEGEN_STORES (a path list).
    Raises AssetError for an unknown uid or a file that is not the manifest's.
    """
    return (library or known_library()).mesh(uid)


@functools.cache
def known_library() -> AssetLibrary:
    """The starter pack and the stores named in SCENEGEN_STORES."""
    named = [name for name in os.environ.get("SCENEGEN_STORES", "").split(os.pathsep) if name]
    return AssetLibrary.open(AssetsConfig(objects=(STARTER, *named), split="all"))
