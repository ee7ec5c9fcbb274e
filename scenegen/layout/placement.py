"""Objects on the floor, one after the other, without interpenetration (supplement section 5)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from scenegen.assets.library import CanonicalMesh
from scenegen.assets.manifest import AssetRecord
from scenegen.config import PlacementConfig
from scenegen.contract.records import FIRST_OBJECT_ID
from scenegen.errors import AssetError, SceneError
from scenegen.layout.collision import CollisionWorld, Parts, PosedParts
from scenegen.layout.spec import PlacedObject


class Library(Protocol):
    """What layout asks of a library of assets."""

    @property
    def records(self) -> Mapping[str, AssetRecord]: ...

    def mesh(self, uid: str) -> CanonicalMesh: ...

    def convex_parts(self, uid: str) -> Sequence[np.ndarray]: ...


@dataclass(frozen=True, slots=True)
class Placement:
    """What stands on the floor, and what it took.

    skipped: (uid, reason) of assets that could not be used; others were taken in their place.
    """

    objects: tuple[PlacedObject, ...]
    requested: int
    attempts: int
    skipped: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Shape:
    uid: str
    vertices: np.ndarray
    parts: Parts


def sample_assets(
    library: Library, count: int, exclude: frozenset[str], rng: np.random.Generator
) -> tuple[list[_Shape], tuple[tuple[str, str], ...]]:
    """`count` usable assets, without repetition while there are enough, and the (uid, reason) of unusable ones.

    The order is drawn over all records, so that leaving one out changes nothing but its own place.
    Raises SceneError if no asset can be used.
    """
    skipped: dict[str, str] = {}
    shapes: list[_Shape] = []
    uids = sorted(library.records)
    for uid in _endless_permutations(uids, rng):
        if len(shapes) == count:
            break
        if len(exclude) + len(skipped) >= len(uids) and all(u in exclude or u in skipped for u in uids):
            raise SceneError("no asset can be used; check the library with `scenegen assets check`")
        if uid in exclude or uid in skipped:
            continue
        try:
            mesh = library.mesh(uid)
            shapes.append(_Shape(uid, mesh.vertices, Parts.of(library.convex_parts(uid))))
        except AssetError as error:
            skipped[uid] = error.reason
    return shapes, tuple(sorted(skipped.items()))


def _endless_permutations(uids: list[str], rng: np.random.Generator) -> Iterator[str]:
    if not uids:
        raise SceneError("the asset library is empty; add assets or loosen its filters")
    while True:
        for index in rng.permutation(len(uids)):
            yield uids[index]


def place_objects(
    library: Library,
    floor_z_m: float,
    config: PlacementConfig,
    world: CollisionWorld,
    asset_rng: np.random.Generator,
    rng: np.random.Generator,
    exclude: frozenset[str] = frozenset(),
) -> Placement:
    """Sample assets and put each where it fits: at most `max_attempts` draws of scale, yaw and position.

    world: empty; holds the placed bodies afterwards. An asset that never fits is left out, as in the paper.
    Raises SceneError if no asset can be used.
    """
    count = int(asset_rng.integers(config.num_objects[0], config.num_objects[1] + 1))
    shapes, skipped = sample_assets(library, count, exclude, asset_rng)
    objects: list[PlacedObject] = []
    attempts = 0
    for shape in shapes:
        pose, body, used = _find_place(shape, floor_z_m, config, world, rng)
        attempts += used
        if pose is not None and body is not None:
            world.place(body)
            objects.append(PlacedObject(FIRST_OBJECT_ID + len(objects), shape.uid, *pose))
    return Placement(tuple(objects), count, attempts, skipped)


_Pose = tuple[float, float, tuple[float, float, float]]


def _find_place(
    shape: _Shape, floor_z_m: float, config: PlacementConfig, world: CollisionWorld, rng: np.random.Generator
) -> tuple[_Pose | None, PosedParts | None, int]:
    """The first pose that fits, its body, and the attempts it took."""
    kept_scale = float(rng.uniform(*config.scale))
    for attempt in range(1, config.max_attempts + 1):
        scale, yaw, u, v = rng.uniform((config.scale[0], 0.0, 0.0, 0.0), (config.scale[1], 2.0 * np.pi, 1.0, 1.0))
        pose = _on_the_floor(shape, scale if config.redraw_scale else kept_scale, yaw, (u, v), floor_z_m, config.area_m)
        if pose is None:
            continue
        body = shape.parts.posed(*pose)
        if world.fits(body):
            return pose, body, attempt
    return None, None, config.max_attempts


def _on_the_floor(
    shape: _Shape, scale: float, yaw: float, where: tuple[float, float], floor_z_m: float, area_m: float
) -> _Pose | None:
    """The pose whose box is at `where` in [0, 1)^2 of the free play inside the area; None if it is too large for it."""
    c, s = np.cos(yaw), np.sin(yaw)
    x, y, z = shape.vertices.astype(np.float64).T * scale
    low = np.array([(c * x - s * y).min(), (s * x + c * y).min()])
    high = np.array([(c * x - s * y).max(), (s * x + c * y).max()])
    play = area_m - (high - low)
    if play.min() < 0.0:
        return None
    xy = -area_m / 2.0 - low + np.asarray(where) * play
    return float(scale), float(yaw), (float(xy[0]), float(xy[1]), float(floor_z_m - z.min()))
