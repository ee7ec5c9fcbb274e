"""A sample's cube: where it stands, how it is turned and jittered, and what lies in it.

Everything is turned first, as if the world stood another way, and the cubes are placed then; so they lie around the
visible part (coarse) or the whole object (fine) exactly as they do when a new image is completed.
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
_VISIBLE_HALF = 0.25 + 1e-4  # of the coarse cube: the visible part by construction, and rounding


@dataclass(frozen=True)
class Turn:
    """What is drawn for a sample: rotation of the world (3, 3), factor on sizes, move in edges of the cube (3,)."""

    rotation: np.ndarray
    scale: float
    shift: np.ndarray


@dataclass(frozen=True)
class CubeRule:
    """Which cube: the coarse one or, within it, the fine one; and what becomes of objects that are too large for it."""

    fine: bool
    oversize: Oversize
    largest_growth: float


@dataclass(frozen=True)
class Placed:
    """A sample in its cube: float32 coordinates in [-0.5, 0.5]^3 of points and mesh, and the cube's pose (float64)."""

    points_P3: np.ndarray
    confidence_P: np.ndarray
    vertices_V3: np.ndarray
    T_world_cube: np.ndarray


def draw_turn(rng: np.random.Generator, augmentation: Augmentation) -> Turn:
    """All numbers are drawn in any case, so that an option changes nothing but its own."""
    turned, rotation = rng.random() < augmentation.rotation, random_rotation(rng, augmentation.axis)
    scale, shift = rng.uniform(*augmentation.scale), rng.uniform(-1, 1, 3) * augmentation.shift
    return Turn(rotation if turned else np.eye(3), float(scale), shift)


def place_in_scene(
    visible: VisiblePoints, vertices_V3: np.ndarray, T_world_obj: np.ndarray, turn: Turn, rule: CubeRule
) -> Placed:
    """An object seen in a scene, in its coarse or fine cube. vertices: canonical.

    Points on the outline that lie outside the middle half of the coarse cube, where all others are, are left out.
    Raises Rejected.
    """
    points_P3 = moved(visible.points_P3, turn.rotation, np.zeros(3))
    vertices_V3 = moved(vertices_V3, turn.rotation @ T_world_obj[:3, :3], turn.rotation @ T_world_obj[:3, 3])
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
    return _jittered(cube, points_P3, confidence_P, vertices_V3, bounds_23, turn)


def place_alone(points_P3: np.ndarray, confidence_P: np.ndarray, vertices_V3: np.ndarray, turn: Turn) -> Placed:
    """An object by itself, in the bounding cube of the turned mesh. Both in canonical coordinates."""
    points_P3, vertices_V3 = (moved(each, turn.rotation, np.zeros(3)) for each in (points_P3, vertices_V3))
    bounds_23 = _bounds(vertices_V3)
    return _jittered(bounding_cube(_corners(bounds_23)), points_P3, confidence_P, vertices_V3, bounds_23, turn)


def _holding(cube: Cube, bounds_23: np.ndarray, rule: CubeRule) -> Cube:
    """The cube, if the object fits in it, or what the rule makes of it."""
    growth = 2 * float(cube.from_outer(_corners(bounds_23)).abs().max())
    if growth <= 1 or rule.oversize == "squash":
        return cube
    if rule.oversize == "reject" or growth > rule.largest_growth:
        raise Rejected(TOO_LARGE)
    return Cube(cube.centre_3, cube.side * (growth + CUBE_MARGIN))


def _fine(coarse: Cube, bounds_23: np.ndarray) -> Cube:
    """The fine cube of the object's voxels in the coarse cube; the voxels of the corners of its box say where."""
    corners = coarse.from_outer(_corners(bounds_23)).clamp(-_HALF, _HALF)
    within = fine_cube(((corners + 0.5) * RESOLUTION).floor().long())
    return Cube(coarse.to_outer(within.centre_3[None])[0], coarse.side * within.side)


def _jittered(
    cube: Cube,
    points_P3: np.ndarray,
    confidence_P: np.ndarray,
    vertices_V3: np.ndarray,
    bounds_23: np.ndarray,
    turn: Turn,
) -> Placed:
    """Scale and shift within the cube, as far as the object leaves room: nothing of it is cut off or squashed."""
    centre, side = cube.centre_3.numpy(), float(cube.side)
    low, high = (bounds_23 - centre) / side
    scale = min(turn.scale, 2 * _HALF / float((high - low).max()))
    shift = np.clip(turn.shift, -_HALF - scale * low, _HALF - scale * high)
    to_cube = scale / side * np.eye(3), shift - scale * centre / side
    T_cube_world = np.eye(4)
    T_cube_world[:3, :3], T_cube_world[:3, 3] = to_cube[0] @ turn.rotation, to_cube[1]
    return Placed(moved(points_P3, *to_cube), confidence_P, moved(vertices_V3, *to_cube), np.linalg.inv(T_cube_world))


def _inside(points_P3: np.ndarray, cube: Cube, half: float) -> np.ndarray:
    low, high = cube.to_outer(torch.tensor([[-half] * 3, [half] * 3])).float().numpy()
    x_P, y_P, z_P = ((points_P3 >= low) & (points_P3 <= high)).T
    return x_P & y_P & z_P


def _squashed(cube: Cube, vertices_V3: np.ndarray) -> np.ndarray:
    return cube.to_outer(cube.from_outer(torch.from_numpy(vertices_V3)).clamp(-_HALF, _HALF)).float().numpy()


def _chosen(points_P3: np.ndarray, chosen_P: np.ndarray) -> np.ndarray:
    """Some of the points, still column after column in memory."""
    return np.compress(chosen_P, points_P3.T, axis=1).T


def _bounds(points_P3: np.ndarray) -> np.ndarray:
    """[2, 3] float64: lowest and highest coordinates."""
    return np.stack([points_P3.min(axis=0), points_P3.max(axis=0)]).astype(np.float64)


def _corners(bounds_23: np.ndarray) -> torch.Tensor:
    """The bounding cube of two opposite corners is that of everything between them."""
    return torch.from_numpy(bounds_23)
