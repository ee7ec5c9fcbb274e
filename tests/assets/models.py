"""Small model files written without Blender, with their vertices known exactly."""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scenegen.assets.glb import Glb

# An L of two boxes: no symmetry, so that a mirror or a turn shows.
BOX = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float32)
BOX_FACES = np.array(
    [
        *([0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]),
        *([2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]),
    ],
    dtype=np.uint16,
)
L_VERTICES = np.concatenate([BOX * (2.0, 0.5, 0.3), BOX * (0.4, 0.5, 1.1) + (0, 0, 0.3)]).astype(np.float32)
L_FACES = np.concatenate([BOX_FACES, BOX_FACES + 8])


@dataclass
class Model:
    """A glTF document in the making (y up)."""

    document: dict[str, Any] = field(
        default_factory=lambda: {
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": []}],
            "nodes": [],
            "meshes": [],
            "accessors": [],
            "bufferViews": [],
        }
    )
    binary: bytearray = field(default_factory=bytearray)

    def accessor(self, array: np.ndarray) -> int:
        code = {"float32": 5126, "uint16": 5123, "uint32": 5125}[array.dtype.name]
        self.binary += b"\0" * (-len(self.binary) % 4)
        view = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": array.nbytes}
        self.document["bufferViews"].append(view)
        self.binary += array.tobytes()
        flat = array.ndim == 1
        spec = {
            "bufferView": len(self.document["bufferViews"]) - 1,
            "componentType": code,
            "count": len(array),
            "type": "SCALAR" if flat else f"VEC{array.shape[1]}",
        }
        if not flat and array.shape[1] == 3 and len(array):
            spec["min"], spec["max"] = array.min(axis=0).tolist(), array.max(axis=0).tolist()
        self.document["accessors"].append(spec)
        return len(self.document["accessors"]) - 1

    def mesh(self, vertices: np.ndarray, faces: np.ndarray, **primitive: Any) -> int:
        attributes = {"POSITION": self.accessor(vertices.astype(np.float32))}
        indices = self.accessor(faces.reshape(-1).astype(np.uint32))
        self.document["meshes"].append({"primitives": [{"attributes": attributes, "indices": indices, **primitive}]})
        return len(self.document["meshes"]) - 1

    def node(self, root: bool = True, **properties: Any) -> int:
        self.document["nodes"].append(properties)
        if root:
            self.document["scenes"][0]["nodes"].append(len(self.document["nodes"]) - 1)
        return len(self.document["nodes"]) - 1

    def glb(self, path: Path) -> Path:
        self.document["buffers"] = [{"byteLength": len(self.binary)}]
        path.write_bytes(Glb(self.document, bytes(self.binary)).to_bytes())
        return path

    def gltf(self, path: Path, buffer_uri: str | None = None) -> Path:
        """buffer_uri: None embeds the buffer; a name writes it beside the file."""
        uri = buffer_uri or "data:application/octet-stream;base64," + base64.b64encode(self.binary).decode()
        if buffer_uri is not None and ".." not in buffer_uri:
            (path.parent / buffer_uri).write_bytes(self.binary)
        self.document["buffers"] = [{"byteLength": len(self.binary), "uri": uri}]
        path.write_text(json.dumps(self.document))
        return path


def l_shape_glb(path: Path) -> Path:
    model = Model()
    model.node(mesh=model.mesh(L_VERTICES, L_FACES))
    return model.glb(path)


def canonical(world_y_up: np.ndarray) -> np.ndarray:
    """The canonical vertices of glTF world coordinates: z up, centred, longest side 1."""
    points = np.stack([world_y_up[:, 0], -world_y_up[:, 2], world_y_up[:, 1]], axis=1).astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    return (points - (low + high) / 2) / (high - low).max()


def same_points(a: np.ndarray, b: np.ndarray) -> float:
    """The largest distance from a point of one set to the other set, both ways."""
    distance = np.linalg.norm(a[:, None, :] - b[None, :, :], axis=2)
    return float(max(distance.min(axis=0).max(), distance.min(axis=1).max()))


def textured_obj(folder: Path, image: str = "wood.png", write_image: bool = True) -> Path:
    """Two objects in one OBJ, the second 3 m away, with a material library and a texture."""
    folder.mkdir(parents=True, exist_ok=True)
    if write_image:
        Image.new("RGB", (8, 4), (200, 120, 40)).save(folder / image)
    (folder / "model.mtl").write_text(f"newmtl wood\nKd 1 1 1\nmap_Kd {image}\nnewmtl red\nKd 1 0 0\n")
    lines = ["mtllib model.mtl"]
    for index, (name, shift, material) in enumerate([("first", 0.0, "wood"), ("second", 3.0, "red")]):
        lines.append(f"o {name}")
        lines += [f"v {x + shift} {y} {z}" for x, y, z in L_VERTICES]
        lines += ["vt 0 0", "vt 1 0", "vt 1 1", f"usemtl {material}"]
        base, uv = 1 + index * len(L_VERTICES), 1 + 3 * index
        lines += [f"f {a + base}/{uv} {b + base}/{uv + 1} {c + base}/{uv + 2}" for a, b, c in L_FACES.tolist()]
    path = folder / "model.obj"
    path.write_text("\n".join(lines) + "\n")
    return path


def two_l_shapes() -> np.ndarray:
    """World vertices (y up) of `textured_obj`."""
    return np.concatenate([L_VERTICES, np.add(L_VERTICES, (3.0, 0, 0))])
