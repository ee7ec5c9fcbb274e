"""A scene as one GLB (y up): each asset once, with its materials; objects, floor, walls and cameras as nodes."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from scenegen.assets.glb import ARRAY_BUFFER, CODES, ELEMENT_ARRAY_BUFFER, Glb, y_up
from scenegen.assets.library import CanonicalMesh
from scenegen.contract.records import Scene, SceneObject, View
from scenegen.export.conventions import ROOM_COLOURS, fov_y_rad, y_up_camera, y_up_object
from scenegen.export.exporter import SceneExporter
from scenegen.export.selection import SceneViews
from scenegen.export.shapes import corner_normals
from scenegen.layout.planes import Plane, room_planes

NEAR_M = 0.01
QUANTISED = "KHR_mesh_quantization"


class GlbExporter(SceneExporter):
    """SCENE.glb."""

    how_to_read = "trimesh.load('{out}/SCENE.glb'), or open it in any glTF viewer"

    def check(self) -> None:
        self.source.require_shapes()

    def scene(self, chosen: SceneViews) -> dict[str, Any]:
        views = [selected.view for selected in self.source.selection.read(chosen, ())]
        builder = _Builder()
        for placed in self.source.selection.scene_objects(chosen):
            builder.object(placed, self._mesh(builder, placed))
        for plane in room_planes(self.source.selection.scene(chosen)):
            builder.plane(plane)
        for view in views:
            builder.camera(view)
        glb = builder.glb(self.source.selection.scene(chosen))
        self.folder.write(f"{chosen.scene_index:06d}.glb", glb.to_bytes())
        return {"views": len(views)}

    def _mesh(self, builder: "_Builder", placed: SceneObject) -> int:
        if placed.asset_uid not in builder.meshes:
            asset, shapes = self.source.shapes.glb_of(placed), self.source.shapes
            builder.meshes[placed.asset_uid] = (
                builder.asset(placed.asset_uid, asset) if asset else builder.shape(placed.asset_uid, shapes.of(placed))
            )
        return builder.meshes[placed.asset_uid]


class _Builder:
    """One GLB in the making. meshes: asset uid to the number of its mesh."""

    def __init__(self) -> None:
        self.meshes: dict[str, int] = {}
        self._lists: dict[str, list[dict[str, Any]]] = {}
        self._binary = bytearray()
        self._extensions: set[str] = set()

    def asset(self, uid: str, asset: Glb) -> int:
        """Take over the mesh of a prepared asset, with its materials. Attributes become 32-bit numbers, since many
        readers do not know quantised ones."""
        document = asset.json
        images = [
            {**each, "bufferView": self._view(asset.view_bytes(each["bufferView"]))} for each in _list(asset, "images")
        ]
        offset = {"source": len(self._lists.get("images", ())), "sampler": len(self._lists.get("samplers", ()))}
        textures = [_shifted(each, offset) for each in _list(asset, "textures")]
        materials = [
            _shifted(each, {"index": len(self._lists.get("textures", ()))}) for each in _list(asset, "materials")
        ]
        first_material = len(self._lists.get("materials", ()))
        for name, entries in (("images", images), ("textures", textures), ("materials", materials)):
            self._lists.setdefault(name, []).extend(entries)
        self._lists.setdefault("samplers", []).extend(_list(asset, "samplers"))
        self._extensions |= {*document.get("extensionsUsed", ())} - {QUANTISED}
        (mesh,) = document["meshes"]
        primitives = [self._primitive(asset, each, first_material) for each in mesh["primitives"]]
        return self._add("meshes", {"name": uid, "primitives": primitives})

    def shape(self, uid: str, mesh: CanonicalMesh) -> int:
        """A mesh without a material."""
        attributes = {
            "POSITION": self._accessor(y_up(mesh.vertices), ARRAY_BUFFER),
            "NORMAL": self._accessor(y_up(corner_normals(mesh)), ARRAY_BUFFER),
        }
        indices = self._accessor(mesh.faces.reshape(-1, 1).astype(np.uint32), ELEMENT_ARRAY_BUFFER)
        return self._add("meshes", {"name": uid, "primitives": [{"attributes": attributes, "indices": indices}]})

    def object(self, placed: SceneObject, mesh: int) -> None:
        extras = {"instance_id": placed.instance_id, "asset_uid": placed.asset_uid, "licence": placed.licence}
        name = f"{placed.instance_id:03d}_{placed.asset_uid}"
        self._node(name, y_up_object(placed.T_world_obj), mesh=mesh, extras=extras)

    def plane(self, plane: Plane) -> None:
        """Seen from inside the room alone, as a wall between camera and scene is."""
        colour = [*ROOM_COLOURS[plane.instance_id], 1.0]
        grey = {"pbrMetallicRoughness": {"baseColorFactor": colour, "metallicFactor": 0.0}}
        attributes = {
            "POSITION": self._accessor(y_up(plane.corners_m.astype(np.float32)), ARRAY_BUFFER),
            "NORMAL": self._accessor(y_up(np.tile(plane.normal, (4, 1)).astype(np.float32)), ARRAY_BUFFER),
        }
        indices = self._accessor(np.array([[0], [1], [2], [0], [2], [3]], np.uint32), ELEMENT_ARRAY_BUFFER)
        material = self._add("materials", {"name": plane.name, **grey})
        primitive = {"attributes": attributes, "indices": indices, "material": material}
        mesh = self._add("meshes", {"name": plane.name, "primitives": [primitive]})
        self._node(plane.name, np.eye(4), mesh=mesh, extras={"instance_id": plane.instance_id})

    def camera(self, view: View) -> None:
        width, height = view.size_px
        lens = {"yfov": fov_y_rad(view.K_px, height), "aspectRatio": width / height, "znear": NEAR_M}
        name = f"view_{view.view_index:04d}"
        camera = self._add("cameras", {"name": name, "type": "perspective", "perspective": lens})
        extras = {"view_index": view.view_index, "K_px": view.K_px.tolist(), "size_px": [width, height]}
        self._node(name, y_up_camera(view.T_world_cam), camera=camera, extras=extras)

    def glb(self, scene: Scene) -> Glb:
        nodes = [*range(len(self._lists["nodes"]))]
        document: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "scenegen export"},
            "scene": 0,
            "scenes": [{"name": f"scene_{scene.scene_index:06d}", "nodes": nodes}],
            **{name: entries for name, entries in self._lists.items() if entries},
            "buffers": [{"byteLength": len(self._binary)}],
        }
        if self._extensions:
            document["extensionsUsed"] = sorted(self._extensions)
        return Glb(document, bytes(self._binary))

    def _primitive(self, asset: Glb, primitive: dict[str, Any], first_material: int) -> dict[str, Any]:
        values = {name: asset.decoded(number).astype(np.float32) for name, number in primitive["attributes"].items()}
        if "NORMAL" in values:  # of 8 bits a coordinate, and a little too short or too long
            values["NORMAL"] /= np.maximum(np.linalg.norm(values["NORMAL"], axis=1, keepdims=True), 1e-6)
        attributes = {name: self._accessor(each, ARRAY_BUFFER) for name, each in values.items()}
        indices = self._accessor(asset.accessor(primitive["indices"]).astype(np.uint32), ELEMENT_ARRAY_BUFFER)
        taken: dict[str, Any] = {"attributes": attributes, "indices": indices}
        if "material" in primitive:
            taken["material"] = first_material + primitive["material"]
        return taken

    def _node(self, name: str, matrix: np.ndarray, **more: Any) -> None:
        self._add("nodes", {"name": name, "matrix": matrix.T.ravel().tolist(), **more})  # glTF stores columns

    def _accessor(self, values: np.ndarray, target: int) -> int:
        """(count, width) values."""
        spec: dict[str, Any] = {
            "bufferView": self._view(np.ascontiguousarray(values).tobytes(), target=target),
            "componentType": CODES[values.dtype],
            "count": len(values),
            "type": {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}[values.shape[1]],
        }
        if values.dtype == np.float32 and values.shape[1] == 3:
            spec["min"], spec["max"] = values.min(axis=0).tolist(), values.max(axis=0).tolist()
        return self._add("accessors", spec)

    def _view(self, data: bytes, **extra: int) -> int:
        self._binary += b"\0" * (-len(self._binary) % 4)
        offset = len(self._binary)
        self._binary += data
        return self._add("bufferViews", {"buffer": 0, "byteOffset": offset, "byteLength": len(data), **extra})

    def _add(self, name: str, entry: dict[str, Any]) -> int:
        entries = self._lists.setdefault(name, [])
        entries.append(entry)
        return len(entries) - 1


def _list(asset: Glb, name: str) -> Sequence[dict[str, Any]]:
    entries: Sequence[dict[str, Any]] = asset.json.get(name, ())
    return entries


def _shifted(value: Any, offsets: dict[str, int]) -> Any:
    """A copy of a piece of glTF in which the numbers under these names, at any depth, are raised."""
    if isinstance(value, list):
        return [_shifted(each, offsets) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: each + offsets[key] if key in offsets and isinstance(each, int) else _shifted(each, offsets)
        for key, each in json.loads(json.dumps(value)).items()
    }
