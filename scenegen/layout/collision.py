"""Collision tests between convex parts: Bullet, after a broad phase of bounding boxes in NumPy."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from scenegen.bullet import pybullet

BULLET_MARGIN_M = 0.001
"""pybullet grows every convex mesh by this much, so that distances between two meshes are too small by twice this."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The convex parts of an asset in one array, canonical frame.

    vertices: (V, 3) float64. starts: (P,) int, where each part's vertices begin.
    """

    vertices: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[np.ndarray]) -> "Parts":
        """From hull vertices of each part, (., 3) arrays."""
        lengths = [len(part) for part in parts]
        return cls(np.concatenate(parts).astype(np.float64), np.cumsum([0, *lengths[:-1]]))

    def posed(self, scale: float, yaw_rad: float, translation_m: Sequence[float] = (0.0, 0.0, 0.0)) -> "PosedParts":
        """The parts in the world: scaled, rotated about z, then translated."""
        # Term by term: a matrix product rounds differently on different processors, and a scene must not.
        c, s = scale * math.cos(yaw_rad), scale * math.sin(yaw_rad)
        x, y, z = self.vertices.T
        world = np.stack([c * x - s * y, s * x + c * y, scale * z], axis=1) + np.asarray(translation_m)
        low = np.minimum.reduceat(world, self.starts, axis=0)
        high = np.maximum.reduceat(world, self.starts, axis=0)
        return PosedParts(world, self.starts, low, high)


@dataclass(frozen=True, slots=True)
class PosedParts:
    """Convex parts in the world, metres. low, high: (P, 3), the bounding box of each. For the rest see Parts."""

    vertices: np.ndarray
    starts: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def moved(self, offset_m: np.ndarray) -> "PosedParts":
        """The parts translated by (3,) metres."""
        return PosedParts(self.vertices + offset_m, self.starts, self.low + offset_m, self.high + offset_m)

    def part(self, index: int) -> np.ndarray:
        """(., 3) hull vertices of one part."""
        end = self.starts[index + 1] if index + 1 < len(self.starts) else len(self.vertices)
        return self.vertices[self.starts[index] : end]


class CollisionWorld:
    """The bodies that have been placed, and whether another one fits.

    It has a physics client of its own. Use it as a context manager, or call `close`: Bullet frees the shapes that were
    made for queries only then.
    """

    def __init__(self, clearance_m: float) -> None:
        self._clearance_m = clearance_m
        self._client = pybullet.connect(pybullet.DIRECT)
        self._placed: list[PosedParts] = []
        self._owner = np.zeros((0, 2), dtype=np.int64)  # (body, part) of each placed part
        self._low = np.zeros((0, 3))
        self._high = np.zeros((0, 3))
        self._shapes: dict[int, int] = {}
        self._rows: list[list[float]] = []

    def __enter__(self) -> "CollisionWorld":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the physics client."""
        if self._client >= 0:
            pybullet.disconnect(physicsClientId=self._client)
            self._client = -1

    def place(self, body: PosedParts) -> None:
        """Add a body without testing whether it fits."""
        index = len(self._placed)
        self._placed.append(body)
        parts = np.arange(len(body.starts))
        self._owner = np.concatenate([self._owner, np.stack([np.full_like(parts, index), parts], axis=1)])
        self._low = np.concatenate([self._low, body.low])
        self._high = np.concatenate([self._high, body.high])

    def fits(self, body: PosedParts) -> bool:
        """Is every part farther than the clearance from every placed part?"""
        return not self._touches(body, self._clearance_m)

    def is_clear(self, point_m: Sequence[float], radius_m: float) -> bool:
        """Is nothing within this distance of a point (3,)? False inside a part."""
        point = np.asarray(point_m, dtype=np.float64)[None]
        return not self._touches(PosedParts(point, np.zeros(1, dtype=np.int64), point, point), radius_m)

    def _touches(self, body: PosedParts, distance_m: float) -> bool:
        pairs = self._near_pairs(body, distance_m)
        shapes: dict[int, int] = {}
        for own, other in pairs:
            if own not in shapes:
                shapes[own] = self._shape(body.part(own))
            if self._closer_than(shapes[own], self._placed_shape(other), distance_m):
                return True
        return False

    def _near_pairs(self, body: PosedParts, distance_m: float) -> list[tuple[int, int]]:
        """(part of body, placed part) whose boxes are nearer than the distance, the deepest overlap first."""
        low, high = body.low.min(axis=0) - distance_m, body.high.max(axis=0) + distance_m
        near = np.nonzero(((self._low < high) & (self._high > low)).all(axis=1))[0]
        if not len(near):
            return []
        gap = np.maximum(self._low[near] - body.high[:, None], body.low[:, None] - self._high[near]).max(axis=2)
        own, other = np.nonzero(gap < distance_m)
        order = np.argsort(gap[own, other], kind="stable")
        return list(zip(own[order].tolist(), near[other[order]].tolist(), strict=True))

    def _placed_shape(self, placed_part: int) -> int:
        """The Bullet shape of a placed part; made on first use, because most are never used."""
        if placed_part not in self._shapes:
            body, part = self._owner[placed_part]
            self._shapes[placed_part] = self._shape(self._placed[body].part(part))
        return self._shapes[placed_part]

    def _shape(self, vertices: np.ndarray) -> int:
        # pybullet never releases the vertices that it gets: pass the same row objects every time.
        while len(self._rows) < len(vertices):
            self._rows.append([0.0, 0.0, 0.0])
        for row, vertex in zip(self._rows, vertices.tolist(), strict=False):
            row[:] = vertex
        rows = self._rows[: len(vertices)]
        return int(pybullet.createCollisionShape(pybullet.GEOM_MESH, vertices=rows, physicsClientId=self._client))

    def _closer_than(self, shape_a: int, shape_b: int, distance_m: float) -> bool:
        # The vertices are in world coordinates, so both shapes are at the origin.
        origin, upright = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)
        points = pybullet.getClosestPoints(
            bodyA=-1,
            bodyB=-1,
            distance=distance_m - 2.0 * BULLET_MARGIN_M,
            collisionShapeA=shape_a,
            collisionShapeB=shape_b,
            collisionShapePositionA=origin,
            collisionShapePositionB=origin,
            collisionShapeOrientationA=upright,
            collisionShapeOrientationB=upright,
            physicsClientId=self._client,
        )
        return bool(points)
