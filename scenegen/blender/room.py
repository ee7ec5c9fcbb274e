"""Floor and walls: planes whose object coordinates are metres in the plane.

Their UV map is for external materials: metres divided by TILE_M, rotated and scaled as the MaterialSpec says.
"""

import math

import bpy
import numpy as np
from mathutils import Matrix

from scenegen.blender.materials.external import TILE_M
from scenegen.layout.spec import MaterialSpec, RoomSpec, WallSpec

# Local x along the plane, local y up (walls) or north (floor), local z into the room.
_INWARD = {"x+": (-1.0, 0.0), "x-": (1.0, 0.0), "y+": (0.0, -1.0), "y-": (0.0, 1.0)}


def build_floor(room: RoomSpec, material: "bpy.types.Material") -> "bpy.types.Object":
    """The floor, a square about the z axis."""
    plane = _plane("floor", (room.floor_size_m, room.floor_size_m), room.floor, material)
    plane.matrix_world = Matrix.Translation((0.0, 0.0, room.floor_z_m))
    return plane


def build_wall(room: RoomSpec, wall: WallSpec, material: "bpy.types.Material") -> "bpy.types.Object":
    """A wall on its edge of the floor, as wide as the floor, its front towards the room."""
    plane = _plane(f"wall {wall.side}", (room.floor_size_m, room.wall_height_m), wall.material, material)
    inward = np.array([*_INWARD[wall.side], 0.0])
    up = np.array([0.0, 0.0, 1.0])
    T = np.eye(4)
    T[:3, 0], T[:3, 1], T[:3, 2] = np.cross(up, inward), up, inward
    T[:3, 3] = -inward * room.floor_size_m / 2 + up * (room.floor_z_m + room.wall_height_m / 2)
    plane.matrix_world = Matrix(T.tolist())
    return plane


def show_walls(walls: dict[str, "bpy.types.Object"], unseen: tuple[str, ...]) -> None:
    """Hide the unseen walls from the camera only: they are still there for light, shadow and reflections."""
    for side, wall in walls.items():
        visible = side not in unseen
        if wall.visible_camera != visible:
            wall.visible_camera = visible


def _plane(
    name: str, size_m: tuple[float, float], spec: MaterialSpec, material: "bpy.types.Material"
) -> "bpy.types.Object":
    x, y = size_m[0] / 2, size_m[1] / 2
    corners = [(-x, -y), (x, -y), (x, y), (-x, y)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(*corner, 0) for corner in corners], [], [(0, 1, 2, 3)])
    mesh.uv_layers.new(name="UVMap").uv.foreach_set("vector", _repeats(corners, spec).ravel())
    mesh.materials.append(material)
    plane = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(plane)
    return plane


def _repeats(corners: list[tuple[float, float]], spec: MaterialSpec) -> np.ndarray:
    """(4, 2) float32 texture coordinates."""
    c, s = math.cos(spec.rotation_rad), math.sin(spec.rotation_rad)
    rotated = np.array(corners) @ np.array([[c, -s], [s, c]]).T
    return (rotated / (TILE_M * spec.scale)).astype(np.float32)
