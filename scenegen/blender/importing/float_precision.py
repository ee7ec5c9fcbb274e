"""Meshes whose shape suffers from 32-bit coordinates (tiny, huge, or far from the origin): rescaled, or refused."""

import math

import bpy
import mathutils
import numpy as np

from scenegen.assets.canonical import POSE_TOLERANCE, ShapeError
from scenegen.assets.model_files.recentre import SAFE_SIZES, power_of_two
from scenegen.blender.importing.mesh_arrays import read_attribute

# Coordinates that all lie on a grid this many times coarser than 32-bit numbers were not rounded; a few prove nothing.
COARSER, ENOUGH_TO_JUDGE = 8, 16
# Sizes of meshes whose stored normals survive Blender's importers.
NORMALS_SURVIVE = (2.0**-20, 2.0**32)


def rescale_to_unit_size() -> dict[str, float]:
    """Scale tiny and huge meshes to a size of about 1: mesh name -> the factor that undoes it.

    Blender computes no normal for a triangle smaller than 1e-9 or larger than 1e9. Stored normals, which it keeps
    relative to the computed ones, are then lost at import and are recomputed here. Scaling by powers of two rounds
    nothing. Meshes with modifiers, whose lengths would not follow, and meshes with shape keys stay as they are.
    """
    undo_scale = {}
    modified = {obj.data.name for obj in bpy.data.objects if obj.type == "MESH" and len(obj.modifiers)}
    for mesh in bpy.data.meshes:
        if mesh.name in modified or mesh.shape_keys or not len(mesh.vertices):
            continue
        longest = float(np.ptp(read_attribute(mesh.vertices, "co", 3, np.float32).astype(np.float64), axis=0).max())
        if not SAFE_SIZES[0] <= longest <= SAFE_SIZES[1] and np.isfinite(longest):
            scale = power_of_two(longest)
            mesh.transform(mathutils.Matrix.Diagonal((scale, scale, scale, 1.0)))
            if not NORMALS_SURVIVE[0] <= longest <= NORMALS_SURVIVE[1]:
                forget_custom_normals(mesh)
            undo_scale[mesh.name] = 1.0 / scale
    bpy.context.view_layer.update()
    return undo_scale


def float32_spacing(coordinates_V3: np.ndarray) -> np.ndarray:
    """(3,) distance of neighbouring 32-bit numbers at the largest coordinate of each axis.

    0 if the coordinates themselves are so coarse (whole metres, for example) that rounding has lost nothing.
    """
    apart = np.spacing(np.abs(coordinates_V3).max(axis=0).astype(np.float32)).astype(np.float64)
    coarse = not np.remainder(coordinates_V3, COARSER * apart).any()
    known = sum(len(np.unique(coordinates_V3[:, axis])) for axis in range(3)) >= ENOUGH_TO_JUDGE if coarse else False
    return np.zeros(3) if known else apart


def refuse_lost_precision(corners_F33: np.ndarray, apart: float) -> None:
    """Raises ShapeError if rounding to 32-bit numbers that are `apart` from each other has visibly moved vertices."""
    used = corners_F33.reshape(-1, 3)
    longest, offset = float(np.ptp(used, axis=0).max()), float(np.abs(used).max())
    if apart / 2 > POSE_TOLERANCE * longest:
        raise ShapeError(
            f"digits are lost: {longest:.3g} long and {offset:.3g} from its origin, where 32-bit numbers are "
            f"{apart:.2g} apart; move the model to its origin in the program that made it and export it again"
        )


def forget_custom_normals(mesh: bpy.types.Mesh) -> None:
    """Remove stored normals, which do not survive a collapse of edges; sharp edges are found again by their angle."""
    if mesh.has_custom_normals:
        mesh.attributes.remove(mesh.attributes["custom_normal"])
        mesh.set_sharp_from_angle(angle=math.radians(40))
