"""An object placed in the cube of its stage: which cube, and the random rotation, scale and shift of a sample.

The world is rotated first and the cube is placed then, so that it lies around the visible part (coarse) or the whole
object (fine) exactly as when a new image is completed. A box is given by its two extreme corners.
Shapes: P points, V mesh vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pipelines.frames import FOREGROUND, Cube, bounding_cube, coarse_cube, fine_cube
from pipelines.train.data.errors import Rejected
from pipelines.train.data.options import Augmentation, Oversize
from pipelines.train.data.points import VisiblePoints, moved
from pipelines.train.data.randomness import random_rotation
from pipelines.voxelise import RESOLUTION
from scenegen.contract.voxels import CUBE_MARGIN

TOO_LARGE = "larger than the coarse cube"
NO_INTERIOR = "too few pixels off the outline"
_HALF = 0.5 - CUBE_MARGIN
_VISIBLE_HALF = 0.25 + 1e-4  # half edge of what the visible part fills of the coarse cube, and rounding


@dataclass(frozen=True)
class RandomTransform:
    """The random transform of a sample.

    rotation: (3, 3) float64, of the world. scale: factor on sizes. shift: (3,) float64, translation in edges of the
    cube.
    """

    rotation: np.ndarray
    scale: float
    shift: np.ndarray


@dataclass(frozen=True)
class CubeRule:
    """Which cube an object is placed in, and what happens to one that is larger than the coarse cube.

    fine: the fine cube, within the coarse one, instead of the coarse cube. oversize: see Oversize.
    largest_growth: largest factor on the edge of a cube that is rescaled.
    """

    fine: bool
    oversize: Oversize
    largest_growth: float


@dataclass(frozen=True)
class Placed:
    """An object in its cube.

    points_P3, vertices_V3: float32 coordinates in the cube, which is [-0.5, 0.5]^3. confidence_P: float32, of the
    points. T_world_cube: (4, 4) float64 similarity, cube to world.
    """

    points_P3: np.ndarray
    confidence_P: np.ndarray
    vertices_V3: np.ndarray
    T_world_cube: np.ndarray


def draw_transform(rng: np.random.Generator, augmentation: Augmentation) -> RandomTransform:
    """A random transform. All numbers are drawn in any case, so that no option changes what others draw."""
    rotated, rotation = rng.random() < augmentation.rotation, random_rotation(rng, augmentation.axis)
    scale, shift = rng.uniform(*augmentation.scale), rng.uniform(-1, 1, 3) * augmentation.shift
    return RandomTransform(rotation if rotated else np.eye(3), float(scale), shift)


def place_in_scene(
    visible: VisiblePoints, vertices_V3: np.ndarray, T_world_obj: np.ndarray, transform: RandomTransform, rule: CubeRule
) -> Placed:
    """An object that is seen in a scene, in its coarse or fine cube.

    visible: its visible points, in world metres. vertices_V3: canonical. T_world_obj: (4, 4), canonical to world.
    Points on the outline are left out if they lie outside the middle half of the coarse cube, where all others are.
    Raises Rejected if no point is off the outline or the object is too large.
    """
    points_P3 = moved(visible.points_P3, transform.rotation, np.zeros(3))
    vertices_V3 = moved(vertices_V3, transform.rotation @ T_world_obj[:3, :3], transform.rotation @ T_world_obj[:3, 3])
    sure_P = visible.confidence_P > FOREGROUND
    if not sure_P.any():
        raise Rejected(NO_INTERIOR)
    coarse = coarse_cube(_corners(_bounds(_chosen(points_P3, sure_P))), torch.ones(2))
    near_P = _inside(points_P3, coarse, _VISIBLE_HALF)
    bounds_23 = _bounds(vertices_V3)
    cube = _holding(coarse, bounds_23, rule)
    if rule.oversize == "squash":
        vertices_V3 = _squashed(cube, vertices_V3)
        bounds_23 = _bounds(vertices_V3)
    if rule.fine:
        cube = _fine(cube, bounds_23)
    points_P3, confidence_P = _chosen(points_P3, near_P), visible.confidence_P[near_P]
    return _jittered(cube, points_P3, confidence_P, vertices_V3, bounds_23, transform)


def place_alone(
    points_P3: np.ndarray, confidence_P: np.ndarray, vertices_V3: np.ndarray, transform: RandomTransform
) -> Placed:
    """A lone object, in the bounding cube of its rotated mesh. Points and vertices are in canonical coordinates."""
    points_P3, vertices_V3 = (moved(each, transform.rotation, np.zeros(3)) for each in (points_P3, vertices_V3))
    bounds_23 = _bounds(vertices_V3)
    return _jittered(bounding_cube(_corners(bounds_23)), points_P3, confidence_P, vertices_V3, bounds_23, transform)


def _holding(cube: Cube, bounds_23: np.ndarray, rule: CubeRule) -> Cube:
    """The coarse cube of an object with these bounds by the rule: as it is, or grown. Raises Rejected."""
    growth = 2 * float(cube.from_outer(_corners(bounds_23)).abs().max())
    if growth <= 1 or rule.oversize == "squash":
        return cube
    if rule.oversize == "reject" or growth > rule.largest_growth:
        raise Rejected(TOO_LARGE)
    return Cube(cube.centre_3, cube.side * (growth + CUBE_MARGIN))


def _fine(coarse: Cube, bounds_23: np.ndarray) -> Cube:
    """The fine cube: around the object's voxels in the coarse cube, of which the corners of its box suffice."""
    corners = coarse.from_outer(_corners(bounds_23)).clamp(-_HALF, _HALF)
    within = fine_cube(((corners + 0.5) * RESOLUTION).floor().long())
    return Cube(coarse.to_outer(within.centre_3[None])[0], coarse.side * within.side)


def _jittered(
    cube: Cube,
    points_P3: np.ndarray,
    confidence_P: np.ndarray,
    vertices_V3: np.ndarray,
    bounds_23: np.ndarray,
    transform: RandomTransform,
) -> Placed:
    """Scaled and shifted within the cube as far as the object leaves room, so that nothing is cut off or squashed."""
    centre, side = cube.centre_3.numpy(), float(cube.side)
    low, high = (bounds_23 - centre) / side
    scale = min(transform.scale, 2 * _HALF / float((high - low).max()))
    shift = np.clip(transform.shift, -_HALF - scale * low, _HALF - scale * high)
    to_cube = scale / side * np.eye(3), shift - scale * centre / side
    T_cube_world = np.eye(4)
    T_cube_world[:3, :3], T_cube_world[:3, 3] = to_cube[0] @ transform.rotation, to_cube[1]
    return Placed(moved(points_P3, *to_cube), confidence_P, moved(vertices_V3, *to_cube), np.linalg.inv(T_cube_world))


def _inside(points_P3: np.ndarray, cube: Cube, half: float) -> np.ndarray:
    low, high = cube.to_outer(torch.tensor([[-half] * 3, [half] * 3])).float().numpy()
    x_P, y_P, z_P = ((points_P3 >= low) & (points_P3 <= high)).T
    return x_P & y_P & z_P


def _squashed(cube: Cube, vertices_V3: np.ndarray) -> np.ndarray:
    return cube.to_outer(cube.from_outer(torch.from_numpy(vertices_V3)).clamp(-_HALF, _HALF)).float().numpy()


def _chosen(points_P3: np.ndarray, chosen_P: np.ndarray) -> np.ndarray:
    """Points [P, 3] where `chosen_P` is true, still column-major in memory; not copied if these are all."""
    return points_P3 if chosen_P.all() else np.compress(chosen_P, points_P3.T, axis=1).T


def _bounds(points_P3: np.ndarray) -> np.ndarray:
    """[2, 3] float64: lowest and highest coordinates of points."""
    return np.stack([points_P3.min(axis=0), points_P3.max(axis=0)]).astype(np.float64)


def _corners(bounds_23: np.ndarray) -> torch.Tensor:
    """Two opposite corners as points: their bounding cube is that of everything between them."""
    return torch.from_numpy(bounds_23)
