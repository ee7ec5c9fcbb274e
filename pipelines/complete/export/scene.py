"""A completion as the objects of a scene, ready to be written.

The world of a completion is z up. Files are y up, as glTF demands and viewers expect: x stays, z becomes y, and y
becomes -z. In a GLB that is one rotation at the root. Blender rotates y up back, and so shows world coordinates.

Shapes: V vertices, F faces, S texture edge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipelines.complete.results import Completion, InstanceCompletion

T_GLTF_WORLD = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
ROOT_QUATERNION_XYZW = (-(0.5**0.5), 0.0, 0.0, 0.5**0.5)  # the same rotation


@dataclass(frozen=True)
class Texture:
    """uv_V2: float32, v down as in glTF. image_SS3: uint8 sRGB."""

    uv_V2: np.ndarray
    image_SS3: np.ndarray


@dataclass(frozen=True)
class SceneObject:
    """A mesh in its own cube, and where that cube is: p_world = p * scale + translation.

    vertices_V3: float32. normals_V3: float32 unit vectors. faces_F3: integers.
    colours_V3: uint8 sRGB vertex colours, or texture instead of them.
    """

    name: str
    instance_id: int
    vertices_V3: np.ndarray
    normals_V3: np.ndarray
    faces_F3: np.ndarray
    translation: tuple[float, float, float]
    scale: float
    colours_V3: np.ndarray | None = None
    texture: Texture | None = None


ChangeObject = Callable[[InstanceCompletion, SceneObject], SceneObject]
"""Changes the colours, the faces or the texture of an object before it is written."""


def scene_objects(completion: Completion, change: ChangeObject | None = None) -> list[SceneObject]:
    """The completed instances of a scene."""
    plain = [(one, _object(one)) for one in completion.completed]
    return [thing if change is None else change(one, thing) for one, thing in plain]


def _object(one: InstanceCompletion) -> SceneObject:
    assert one.mesh is not None  # it is completed
    T = one.T_world_obj
    x, y, z = T[:3, 3].tolist()
    mesh = one.mesh
    return SceneObject(
        name=f"instance_{one.instance_id:03d}",
        instance_id=one.instance_id,
        vertices_V3=mesh.vertices_V3,
        normals_V3=vertex_normals(mesh.vertices_V3, mesh.faces_F3),
        faces_F3=mesh.faces_F3,
        translation=(x, y, z),
        scale=float(T[0, 0]),
        colours_V3=mesh.colours_V3,
    )


def vertex_normals(vertices_V3: np.ndarray, faces_F3: np.ndarray) -> np.ndarray:
    """(V, 3) float32 unit normals, faces weighted by their area; +z for vertices without a face."""
    a, b, c = vertices_V3[faces_F3].transpose(1, 0, 2).astype(np.float64)
    face_F3 = np.cross(b - a, c - a)
    total = np.stack(
        [np.bincount(faces_F3.ravel(), np.repeat(face_F3[:, axis], 3), len(vertices_V3)) for axis in range(3)], axis=1
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    unit = np.divide(total, length, out=np.tile([0.0, 0.0, 1.0], (len(total), 1)), where=length > 0)
    return unit.astype(np.float32)
