"""The shapes of a dataset's assets: from prepared stores, with materials, or from the objects table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache

import numpy as np

from scenegen.assets import glb
from scenegen.assets.library import STARTER, AssetLibrary, CanonicalMesh
from scenegen.config import AssetsConfig
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.records import SceneObject
from scenegen.errors import SceneGenError


class Shapes:
    """Canonical meshes of the assets that a dataset names, whatever they are read from.

    A shape is used only if it is of the very file that was rendered (its sha256 is in the scene).
    """

    def __init__(self, tables: Sequence[str], stores: Sequence[str]) -> None:
        """tables: where objects tables may be. stores: prepared stores besides the starter pack."""
        self._tables, self._stores = tuple(tables), tuple(stores)
        self.mesh = lru_cache(maxsize=128)(self._mesh)
        """(uid, sha256) to a CanonicalMesh. Raises SceneGenError where the mesh is not at hand."""

    @cached_property
    def library(self) -> AssetLibrary:
        """Raises UsageError for a store that is not one."""
        return AssetLibrary.open(AssetsConfig(objects=(STARTER, *self._stores), split="all"))

    @cached_property
    def tables(self) -> tuple[ObjectDataset, ...]:
        found = []
        for location in self._tables:
            try:
                found.append(ObjectDataset.open(location))
            except FileNotFoundError:
                continue
        return tuple(found)

    def of(self, placed: SceneObject) -> CanonicalMesh:
        """The canonical mesh of an object: centred, longest side 1, z up. Raises SceneGenError if it is not at hand."""
        return self.mesh(placed.asset_uid, placed.asset_sha256)

    def glb_of(self, placed: SceneObject) -> glb.Glb | None:
        """The prepared file of an object, with its materials; None if only its shape is at hand."""
        if not self._in_library(placed.asset_uid, placed.asset_sha256):
            return None
        return glb.read_glb(self.library.glb_path(placed.asset_uid))

    def name_of(self, uid: str) -> tuple[str, str]:
        """(name, category) that the author gave, as far as the manifest knows them."""
        record = self.library.records.get(uid)
        return (record.name, record.category) if record else ("", "")

    def splits(self) -> Mapping[str, str]:
        """The split of every asset that is known."""
        splits = {uid: record.split for uid, record in self.library.records.items()}
        for table in self.tables:
            columns = table.table("objects", ["asset_uid", "split"]).to_pydict()
            splits.update(zip(columns["asset_uid"], columns["split"], strict=True))
        return splits

    def require(self, objects: Sequence[SceneObject]) -> None:
        """Raises SceneGenError, with what to do, unless the shapes of all these objects are at hand."""
        wanted = {(o.asset_uid, o.asset_sha256) for o in objects}
        known = {uid for table in self.tables for uid in table.uids()}
        lacking = Counter(uid for uid, sha256 in wanted if uid not in known and not self._in_library(uid, sha256))
        if lacking:
            raise SceneGenError(_advice(f"{len(lacking)} of {len(wanted)} assets, such as {sorted(lacking)[0]},"))

    def _in_library(self, uid: str, sha256: str) -> bool:
        record = self.library.records.get(uid)
        return record is not None and record.sha256 == sha256

    def _mesh(self, uid: str, sha256: str) -> CanonicalMesh:
        if self._in_library(uid, sha256):
            return self.library.mesh(uid)
        for table in self.tables:
            try:
                geometry = table.geometry(uid)
            except KeyError:
                continue
            if geometry.status == "ok" and geometry.asset_sha256 == sha256:
                return CanonicalMesh(geometry.vertices, geometry.faces)
        raise SceneGenError(_advice(f"the asset {uid}"))


def _advice(whose: str) -> str:
    return (
        f"the shape of {whose} is not at hand; say where the prepared stores are with --stores FOLDER, "
        "or where the objects tables are with --objects FOLDER"
    )


def corner_normals(mesh: CanonicalMesh) -> np.ndarray:
    """(V, 3) float32 unit normals, the mean of the faces around each vertex weighted by their area."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    normals = np.zeros((len(mesh.vertices), 3))
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    for corner in range(3):
        np.add.at(normals, mesh.faces[:, corner], face)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 0, normals / np.maximum(length, 1e-30), [0.0, 0.0, 1.0]).astype(np.float32)
