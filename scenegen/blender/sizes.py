"""What 32-bit coordinates do to a mesh that is tiny, huge, or far from the origin: mended, or refused."""

import math
from typing import Any

import bpy
import mathutils
import numpy as np

from scenegen.assets.canonical import POSE_TOLERANCE, ShapeError
from scenegen.assets.model_files.nearer import HANDY, power_of_two

# Coordinates on a lattice this many times coarser than their 32-bit neighbours were not rounded, unless they are few.
COARSER, ENOUGH_TO_JUDGE = 8, 16
# Sizes of meshes whose stored normals survive Blender's importers.
NORMALS_HOLD = (2.0**-20, 2.0**32)


def to_handy_sizes() -> dict[str, float]:
    """Bring tiny and huge meshes to a size of about 1: mesh name -> the factor that undoes it.

    Blender finds no normal of a triangle smaller than 1e-9, and none of one larger than 1e9. Stored normals, which it
    keeps relative to those, are then lost at import and made anew. Powers of two round nothing. Meshes with modifiers,
    whose lengths would not follow, and with shape keys stay as they are.
    """
    back = {}
    tied = {obj.data.name for obj in bpy.data.objects if obj.type == "MESH" and len(obj.modifiers)}
    for mesh in bpy.data.meshes:
        if mesh.name in tied or mesh.shape_keys or not len(mesh.vertices):
            continue
        longest = float(np.ptp(read(mesh.vertices, "co", 3, np.float32).astype(np.float64), axis=0).max())
        if not HANDY[0] <= longest <= HANDY[1] and np.isfinite(longest):
            scale = power_of_two(longest)
            mesh.transform(mathutils.Matrix.Diagonal((scale, scale, scale, 1.0)))
            if not NORMALS_HOLD[0] <= longest <= NORMALS_HOLD[1]:
                forget_custom_normals(mesh)
            back[mesh.name] = 1.0 / scale
    bpy.context.view_layer.update()
    return back


def step(coordinates_V3: np.ndarray) -> np.ndarray:
    """(3,) distance of neighbouring 32-bit numbers at the largest coordinate of each axis.

    0 where the coordinates are so coarse by themselves (whole metres) that rounding took nothing from them.
    """
    apart = np.spacing(np.abs(coordinates_V3).max(axis=0).astype(np.float32)).astype(np.float64)
    coarse = not np.remainder(coordinates_V3, COARSER * apart).any()
    known = sum(len(np.unique(coordinates_V3[:, axis])) for axis in range(3)) >= ENOUGH_TO_JUDGE if coarse else False
    return np.zeros(3) if known else apart


def refuse_lost_digits(corners_F33: np.ndarray, apart: float) -> None:
    """Raises ShapeError where 32-bit numbers that are `apart` have rounded the triangles visibly."""
    used = corners_F33.reshape(-1, 3)
    longest, offset = float(np.ptp(used, axis=0).max()), float(np.abs(used).max())
    if apart / 2 > POSE_TOLERANCE * longest:
        raise ShapeError(
            f"digits are lost: {longest:.3g} long and {offset:.3g} from its origin, where 32-bit numbers are "
            f"{apart:.2g} apart; move the model to its origin in the program that made it and export it again"
        )


def forget_custom_normals(mesh: bpy.types.Mesh) -> None:
    """Stored normals do not survive a collapse; edges that were hard by their angle stay hard."""
    if mesh.has_custom_normals:
        mesh.attributes.remove(mesh.attributes["custom_normal"])
        mesh.set_sharp_from_angle(angle=math.radians(40))


def read(collection: Any, name: str, width: int, dtype: type) -> np.ndarray:
    flat: np.ndarray = np.empty(len(collection) * width, dtype)
    collection.foreach_get(name, flat)
    return flat.reshape(-1, width)
