"""What is known after a step, as scenes: the voxels of the instances as small cubes.

Shapes: V voxels, Q exposed faces of voxels, R voxels along an edge.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np

from pipelines.complete.export.glb import encode_glb
from pipelines.complete.export.instance_colours import colour_of
from pipelines.complete.export.scene import SceneObject
from pipelines.complete.results import InstanceCompletion

Stage = Literal["seen", "coarse", "fine"]
STAGES: tuple[Stage, ...] = ("seen", "coarse", "fine")
RESULT = "result"
RESOLUTION = 64


def stage_glb(instances: Iterable[InstanceCompletion], stage: Stage, title: str) -> bytes:
    """GLB of all instances that have reached this stage."""
    things = [thing for one in instances if (thing := stage_object(one, stage)) is not None]
    return encode_glb(things, title, {"stage": stage})


def stage_object(one: InstanceCompletion, stage: Stage) -> SceneObject | None:
    """Its voxels where they are in the world; None if it has none of this stage."""
    voxels_V3 = {"seen": one.partial_V3, "coarse": one.coarse_V3, "fine": one.fine_V3}[stage]
    if voxels_V3 is None or len(voxels_V3) == 0 or one.coarse is None:
        return None
    T = one.T_world_obj if stage == "fine" else one.coarse.T_outer_cube
    vertices, normals, faces = exposed_faces(voxels_V3)
    x, y, z = T[:3, 3].tolist()
    return SceneObject(
        name=f"instance_{one.instance_id:03d}",
        instance_id=one.instance_id,
        vertices_V3=vertices,
        normals_V3=normals,
        faces_F3=faces,
        translation=(x, y, z),
        scale=float(T[0, 0]),
        colours_V3=np.broadcast_to(colour_of(one.instance_id), vertices.shape).copy(),
    )


def exposed_faces(voxels_V3: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (4Q, 3) in [-0.5, 0.5]^3, normals (4Q, 3), triangles (2Q, 3): the faces of voxels to empty cells."""
    occupied = np.zeros((RESOLUTION + 2,) * 3, bool)
    inner = voxels_V3.astype(np.int64) + 1
    occupied[tuple(inner.T)] = True
    corners, normals = [], []
    for axis in range(3):
        for sign in (-1, 1):
            normal = np.zeros(3, np.int64)
            normal[axis] = sign
            free = ~occupied[tuple((inner + normal).T)]
            u, v = np.eye(3, dtype=np.int64)[[(axis + 1) % 3, (axis + 2) % 3]]
            start = voxels_V3[free].astype(np.int64) + (normal > 0)
            around = [start, start + u, start + u + v, start + v]
            corners.append(np.stack(around if sign > 0 else around[::-1], axis=1).reshape(-1, 3))
            normals.append(np.broadcast_to(normal, (4 * len(start), 3)))
    vertices = np.concatenate(corners) / RESOLUTION - 0.5
    first = 4 * np.arange(len(vertices) // 4)[:, None]
    faces = (first + np.array([0, 1, 2, 0, 2, 3])).reshape(-1, 3)
    return vertices.astype(np.float32), np.concatenate(normals).astype(np.float32), faces
