"""A raw asset: where its file is, its author and licence, and its split. The file is not opened yet."""

import hashlib
from dataclasses import dataclass

from scenegen.assets.bake_request import PrincipledLook

MODEL_SUFFIXES = frozenset(
    {".glb", ".gltf", ".obj", ".ply", ".stl", ".fbx", ".usd", ".usda", ".usdc", ".usdz", ".dae", ".blend"}
)


@dataclass(frozen=True, slots=True)
class RawAsset:
    """One model of a collection.

    label: the model by the name that the user knows: its path below the input, after that of its zip if it is in one.
    file_sha256: of the model file alone, if the uid covers more files. Older stores used it as the uid.
    path: the model file; or, with `archive`, its name inside that zip.
    root: the folder that must contain the model and what it refers to; or, with `archive`, the part of the zip to
    extract ("" is all of it).
    """

    uid: str
    source: str
    path: str
    root: str
    split: str
    licence: str = "NOASSERTION"
    author: str = ""
    attribution: str = ""
    commercial_use: bool = False
    name: str = ""
    category: str = ""
    aesthetic_score: float | None = None
    archive: str = ""
    rotation: tuple[float, ...] | None = None
    looks: tuple[tuple[str, PrincipledLook], ...] = ()
    label: str = ""
    file_sha256: str = ""

    @property
    def shown(self) -> str:
        """Its name in messages."""
        return self.label or self.archive or self.path


def hashed_split(key: str, train: float, val: float) -> str:
    """A split that depends on the key alone, so that it never changes when assets come or go.

    train, val: shares; the rest is "test".
    """
    share = int(hashlib.sha256(f"split:{key}".encode()).hexdigest()[:12], 16) / 16**12
    return "train" if share < train else "val" if share < train + val else "test"
