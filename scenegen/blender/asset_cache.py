"""Imports assets once, keeps them for later scenes, and checks their poses against the canonical mesh."""

from collections import OrderedDict
from pathlib import Path
from typing import Protocol

import bpy
import numpy as np
from mathutils import Matrix
from scipy.spatial import cKDTree

from scenegen.assets.library import CanonicalMesh
from scenegen.blender.importing.importers import import_canonical
from scenegen.errors import AssetError
from scenegen.layout.spec import PlacedObject

POSE_TOLERANCE_M = 1e-4


class MeshSource(Protocol):
    """What the renderer needs of an asset library."""

    def mesh(self, uid: str) -> CanonicalMesh: ...

    def glb_path(self, uid: str) -> Path: ...


class AssetCache:
    """Mesh data of assets by uid, shared by all scenes of a process; the least recently used are dropped first."""

    def __init__(self, library: MeshSource, max_faces: int = 3_000_000, max_assets: int = 256) -> None:
        self._library = library
        self._max_faces = max_faces
        self._max_assets = max_assets
        self._meshes: OrderedDict[str, bpy.types.Mesh] = OrderedDict()

    def place(self, placed: PlacedObject) -> "bpy.types.Object":
        """Add an object with the asset's mesh to the scene. Raises AssetError if the asset cannot be used."""
        mesh = self._mesh(placed.asset_uid)
        scene_object = bpy.data.objects.new(placed.asset_uid, mesh)
        scene_object.matrix_world = Matrix(placed.T_world_obj.tolist())
        bpy.context.scene.collection.objects.link(scene_object)
        return scene_object

    def check_pose(self, scene_object: "bpy.types.Object", placed: PlacedObject) -> None:
        """Raises AssetError unless T_world_obj on the canonical vertices gives the scene's vertices."""
        canonical = self._library.mesh(placed.asset_uid).vertices
        distance = pose_error_m(scene_object, canonical, placed.T_world_obj)
        if not distance <= POSE_TOLERANCE_M:
            raise AssetError(placed.asset_uid, f"its recorded pose is off by {distance:.2g} m; prepare it again")

    def trim(self) -> None:
        """Drop assets beyond the limits. Call it between scenes, before the purge."""
        faces = sum(len(mesh.polygons) for mesh in self._meshes.values())
        while self._meshes and (faces > self._max_faces or len(self._meshes) > self._max_assets):
            _, mesh = self._meshes.popitem(last=False)
            faces -= len(mesh.polygons)
            mesh.use_fake_user = False

    def clear(self) -> None:
        """Drop all assets."""
        for mesh in self._meshes.values():
            mesh.use_fake_user = False
        self._meshes.clear()

    def _mesh(self, uid: str) -> "bpy.types.Mesh":
        if uid not in self._meshes:
            imported = import_canonical(self._library.glb_path(uid), uid)
            mesh = imported.data
            mesh.use_fake_user = True
            bpy.data.objects.remove(imported)
            check_images(uid, mesh)
            self._meshes[uid] = mesh
        self._meshes.move_to_end(uid)
        return self._meshes[uid]


def pose_error_m(scene_object: "bpy.types.Object", canonical: np.ndarray, T_world_obj: np.ndarray) -> float:
    """Largest distance between scene vertices and posed canonical vertices, both ways, in metres.

    The vertices may be in different orders: importers split or weld them at seams.
    """
    mesh = scene_object.data
    local = np.empty(3 * len(mesh.vertices), dtype=np.float32)
    mesh.vertices.foreach_get("co", local)
    in_scene = _posed(np.array(scene_object.matrix_world), local.reshape(-1, 3))
    expected = _posed(T_world_obj, canonical)
    if (
        len(in_scene) == len(expected)
        and (direct := np.abs(in_scene - expected).max(initial=0.0)) < POSE_TOLERANCE_M / 2
    ):
        return float(direct)
    if not len(in_scene) or not len(expected):
        return float("inf")
    there, _ = cKDTree(in_scene).query(expected)
    back, _ = cKDTree(expected).query(in_scene)
    return float(max(there.max(), back.max()))


def check_images(uid: str, mesh: "bpy.types.Mesh") -> None:
    """Raises AssetError if a material of the mesh names an image that cannot be read (Cycles would show magenta)."""
    for material in mesh.materials:
        for image in images_of(material.node_tree) if material else ():
            if 0 in image.size:
                raise AssetError(uid, f"texture {image.name!r} is missing or cannot be read")


def images_of(tree: "bpy.types.NodeTree | None") -> "list[bpy.types.Image]":
    """Every image of a node tree and of the groups in it. A texture node without image is left out."""
    images = []
    for node in tree.nodes if tree else ():
        if node.type == "GROUP":
            images += images_of(node.node_tree)
        elif getattr(node, "image", None) is not None:
            images.append(node.image)
    return images


def _posed(T: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points.astype(np.float64) @ T[:3, :3].T + T[:3, 3]
