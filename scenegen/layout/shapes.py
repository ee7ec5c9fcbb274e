"""The shape of an asset as layout uses it, and its mesh in the world."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from scenegen.assets.library import CanonicalMesh
from scenegen.assets.manifest import AssetRecord
from scenegen.layout.collision import Parts, PosedParts
from scenegen.layout.raycast import even_directions, first_hits, mesh_scene
from scenegen.layout.spec import PlacedObject

ENCLOSED_SHARE = 0.75
"""An object counts as inside another one that blocks more than this share of the directions above its horizon.

Objects stand on the floor, so that directions below the horizon are blocked anyway. A table blocks about half for what
stands under it, an oven nine tenths. It does not matter whether the mesh is closed, or its faces point inwards.
"""
PROBES = 256
BOX_SLACK = 0.25
"""An object inside another may extend beyond the other's box by this share of its length: a tray in a low oven."""


class Library(Protocol):
    """What layout needs of an asset library."""

    @property
    def records(self) -> Mapping[str, AssetRecord]: ...

    def mesh(self, uid: str) -> CanonicalMesh: ...

    def convex_parts(self, uid: str) -> Sequence[np.ndarray]: ...


@dataclass(frozen=True, slots=True)
class AssetShape:
    """An asset in its canonical frame. lowest: z of the lowest vertex. footprint: area of its box on the floor."""

    uid: str
    mesh: CanonicalMesh
    parts: Parts
    lowest: float
    footprint: float

    @classmethod
    def of(cls, uid: str, library: Library) -> "AssetShape":
        """Raises AssetError if the asset cannot be read."""
        mesh = library.mesh(uid)
        low, high = mesh.vertices.min(axis=0).astype(np.float64), mesh.vertices.max(axis=0).astype(np.float64)
        footprint = float((high - low)[:2].prod())
        return cls(uid, mesh, Parts.of(library.convex_parts(uid)), float(low[2]), footprint)


def world_mesh(mesh: CanonicalMesh, placed: PlacedObject) -> CanonicalMesh:
    """The mesh in the scene, vertices (V, 3) float64 in metres."""
    T = placed.T_world_obj
    return CanonicalMesh(mesh.vertices.astype(np.float64) @ T[:3, :3].T + T[:3, 3], mesh.faces)


def is_enclosed(inner: PosedParts, outer: PosedParts, outer_mesh: CanonicalMesh, outer_pose: PlacedObject) -> bool:
    """Is `inner` inside a hollow of `outer` and hidden by it? For objects whose surfaces do not cross."""
    low, high = inner.low.min(axis=0), inner.high.max(axis=0)
    slack = BOX_SLACK * (high - low)
    if (low < outer.low.min(axis=0) - slack).any() or (high > outer.high.max(axis=0) + slack).any():
        return False
    centre = (low + high) / 2.0
    upwards = even_directions(2 * PROBES)[:PROBES]
    hits, _ = first_hits(mesh_scene([world_mesh(outer_mesh, outer_pose)]), centre, upwards)
    return bool((hits >= 0).mean() > ENCLOSED_SHARE)
