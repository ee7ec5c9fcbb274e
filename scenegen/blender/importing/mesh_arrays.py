"""Blender's mesh data as NumPy arrays."""

from typing import Any

import bpy
import numpy as np


def read_attribute(collection: Any, name: str, width: int, dtype: type) -> np.ndarray:
    """(len(collection), width) array of one attribute of all items of a Blender collection."""
    flat: np.ndarray = np.empty(len(collection) * width, dtype)
    collection.foreach_get(name, flat)
    return flat.reshape(-1, width)


def world_corners(obj: bpy.types.Object) -> np.ndarray:
    """(F, 3, 3) float32 world coordinates of the object's triangles, in the order of its polygons."""
    mesh = obj.data
    points = read_attribute(mesh.vertices, "co", 3, np.float32)
    M = np.array(obj.matrix_world, dtype=np.float32)
    index = read_attribute(mesh.loops, "vertex_index", 1, np.int32)[:, 0]
    return (points @ M[:3, :3].T + M[:3, 3])[index].reshape(-1, 3, 3)
