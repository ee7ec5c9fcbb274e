"""Manifests to verified local files: objects, environment maps, materials. `canonical_mesh` gives an asset's shape."""

from scenegen.assets.library import AssetLibrary, CanonicalMesh, canonical_mesh
from scenegen.assets.manifest import AssetRecord

__all__ = ["AssetLibrary", "AssetRecord", "CanonicalMesh", "canonical_mesh"]
