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
    """An asset's parts, the height of its lowest vertex and the area of its box on the floor, all canonical."""

    uid: str
    parts: Parts
    lowest: float
    footprint: float

    @classmethod
    def of(cls, uid: str, library: Library) -> "_Shape":
        vertices = library.mesh(uid).vertices
        low, high = vertices.min(axis=0).astype(np.float64), vertices.max(axis=0).astype(np.float64)
        footprint = float((high - low)[:2].prod())
        return cls(uid, Parts.of(library.convex_parts(uid)), float(low[2]), footprint)


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
            shapes.append(_Shape.of(uid, library))
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
    kept_scales = rng.uniform(*config.scale, size=count)
    poses: dict[int, _Pose] = {}
    attempts = 0
    for index in _order(shapes, kept_scales, config):
        scale = None if config.redraw_scale else float(kept_scales[index])
        pose, body, used = _find_place(shapes[index], scale, floor_z_m, config, world, rng)
        attempts += used
        if pose is not None and body is not None:
            world.place(body)
            poses[index] = pose
    placed = ((shapes[index].uid, poses[index]) for index in sorted(poses))
    objects = tuple(PlacedObject(FIRST_OBJECT_ID + i, uid, *pose) for i, (uid, pose) in enumerate(placed))
    return Placement(objects, count, attempts, skipped)


def _order(shapes: list[_Shape], kept_scales: np.ndarray, config: PlacementConfig) -> list[int]:
    """Who is placed when. Instance ids follow the order of sampling in any case, so they say nothing of size."""
    if not config.largest_first:
        return list(range(len(shapes)))
    footprints = np.array([shape.footprint for shape in shapes])
    sizes = footprints if config.redraw_scale else footprints * kept_scales**2
    return [int(index) for index in np.argsort(-sizes, kind="stable")]


_Pose = tuple[float, float, tuple[float, float, float]]


def _find_place(
    shape: _Shape,
    kept_scale: float | None,
    floor_z_m: float,
    config: PlacementConfig,
    world: CollisionWorld,
    rng: np.random.Generator,
) -> tuple[_Pose | None, PosedParts | None, int]:
    """The first pose that fits and its body, or None twice, and the attempts it took."""
    for attempt in range(1, config.max_attempts + 1):
        for_scale, for_yaw, *where = rng.random(4).tolist()
        scale = kept_scale or config.scale[0] + for_scale * (config.scale[1] - config.scale[0])
        yaw = 2.0 * np.pi * for_yaw
        body = shape.parts.posed(scale, yaw)
        offset = _offset(shape, body, scale, where, floor_z_m, config.area_m)
        if offset is not None and world.fits(body := body.moved(offset)):
            x, y, z = offset.tolist()
            return (scale, yaw, (x, y, z)), body, attempt
    return None, None, config.max_attempts


def _offset(
    shape: _Shape, body: PosedParts, scale: float, where: Sequence[float], floor_z_m: float, area_m: float
) -> np.ndarray | None:
    """The move that puts the body on the floor, at `where` in [0, 1)^2 of its free play inside the area.

    None if it is too large for the area.
    """
    low, high = body.low.min(axis=0), body.high.max(axis=0)
    play = area_m - (high - low)[:2]
    if play.min() < 0.0:
        return None
    xy = -area_m / 2.0 - low[:2] + np.asarray(where) * play
    # The mesh stands on the floor; its parts may be a hair larger.
    return np.array([xy[0], xy[1], floor_z_m - scale * shape.lowest])
