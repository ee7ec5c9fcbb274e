"""The assets a scene may use: manifests, filters, and the prepared files behind them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scenegen.assets.manifest import AssetRecord


@dataclass(frozen=True, slots=True)
class CanonicalMesh:
    """The shape of an asset in its canonical frame: centred, longest side 1, z up.

    vertices: (V, 3) float32. faces: (F, 3) int32. Frozen arrays: do not write into them.
    """

    vertices: np.ndarray
    faces: np.ndarray


class AssetLibrary:
    """Read access to prepared stores. Placeholder signatures; see the assets package."""

    records: dict[str, AssetRecord]

    def mesh(self, uid: str) -> CanonicalMesh:
        """Raises AssetError if the files are missing, changed or malformed."""
        raise NotImplementedError

    def convex_parts(self, uid: str) -> tuple[np.ndarray, ...]:
        """Hull vertices of each convex part, (P, 3) float32, canonical frame."""
        raise NotImplementedError

    def glb_path(self, uid: str) -> Path:
        """The canonical GLB (one mesh, glTF's y up), its sha256 verified."""
        raise NotImplementedError
