"""Places objects on the floor, one after the other, without interpenetration (supplement section 5)."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from scenegen.config import PlacementConfig
from scenegen.contract.records import FIRST_OBJECT_ID
from scenegen.errors import AssetError, SceneError
from scenegen.layout.collision import CollisionWorld, PosedParts
from scenegen.layout.shapes import AssetShape, Library, is_enclosed
from scenegen.layout.spec import PlacedObject, RoomSpec


@dataclass(frozen=True, slots=True)
class Placement:
    """The placed objects, and how many tries they took.

    requested: how many objects were to be placed. skipped: (uid, reason) of unusable assets; others replaced them.
    """

    objects: tuple[PlacedObject, ...]
    requested: int
    attempts: int
    skipped: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Standing:
    """An object in a pose."""

    shape: AssetShape
    pose: PlacedObject
    body: PosedParts


def sample_assets(
    library: Library, count: int, exclude: frozenset[str], rng: np.random.Generator
) -> tuple[list[AssetShape], tuple[tuple[str, str], ...]]:
    """`count` usable assets, without repetition while there are enough, and the (uid, reason) of unusable ones.

    The order is drawn over all records, so that leaving one out changes only its own position.
    Raises SceneError if no asset can be used.
    """
    skipped: dict[str, str] = {}
    shapes: list[AssetShape] = []
    uids = sorted(library.records)
    for uid in _endless_permutations(uids, rng):
        if len(shapes) == count:
            break
        if len(exclude) + len(skipped) >= len(uids) and all(u in exclude or u in skipped for u in uids):
            raise SceneError("no asset can be used; check the library with `scenegen assets check`")
        if uid in exclude or uid in skipped:
            continue
        try:
            shapes.append(AssetShape.of(uid, library))
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
    room: RoomSpec,
    config: PlacementConfig,
    world: CollisionWorld,
    asset_rng: np.random.Generator,
    rng: np.random.Generator,
    exclude: frozenset[str] = frozenset(),
) -> Placement:
    """Sample assets and place each where it fits: at most `max_attempts` draws of scale, yaw and position.

    world: empty at first; contains the placed bodies afterwards. An asset that never fits is left out, as in the paper.
    Raises SceneError if no asset can be used.
    """
    count = int(asset_rng.integers(config.num_objects[0], config.num_objects[1] + 1))
    shapes, skipped = sample_assets(library, count, exclude, asset_rng)
    kept_scales = rng.uniform(*config.scale, size=count)
    standing: dict[int, _Standing] = {}
    attempts = 0
    for index in _order(shapes, kept_scales, config):
        scale = None if config.redraw_scale else float(kept_scales[index])
        for candidate in islice(_candidates(shapes[index], scale, room, config, rng), config.max_attempts):
            attempts += 1
            if candidate is not None and _fits(candidate, world, standing.values()):
                world.place(candidate.body)
                standing[index] = candidate
                break
    poses = [standing[index].pose for index in sorted(standing)]
    objects = tuple(replace(pose, instance_id=FIRST_OBJECT_ID + i) for i, pose in enumerate(poses))
    return Placement(objects, count, attempts, skipped)


def _fits(candidate: _Standing, world: CollisionWorld, standing: Iterable[_Standing]) -> bool:
    """Does it touch nothing that stands there, and is it neither inside nor around anything?"""
    if not world.fits(candidate.body):
        return False
    return not any(
        is_enclosed(inner.body, outer.body, outer.shape.mesh, outer.pose)
        for other in standing
        for inner, outer in ((candidate, other), (other, candidate))
    )


def _order(shapes: list[AssetShape], kept_scales: np.ndarray, config: PlacementConfig) -> list[int]:
    """The order of placement. Instance ids follow the order of sampling in any case, so they say nothing of size."""
    if config.redraw_scale or not config.largest_first:
        return list(range(len(shapes)))
    sizes = np.array([shape.footprint for shape in shapes]) * kept_scales**2
    return [int(index) for index in np.argsort(-sizes, kind="stable")]


def _candidates(
    shape: AssetShape,
    kept_scale: float | None,
    room: RoomSpec,
    config: PlacementConfig,
    rng: np.random.Generator,
) -> Iterator[_Standing | None]:
    """Random poses on the floor, completely inside the area; None if the drawn scale is too large for it.

    Nothing touches the floor or a wall, because pixels of coplanar faces would show one or the other by chance.
    """
    low, high = config.scale
    ground_z_m = room.floor_z_m + config.contact_gap_m
    area_m = min(config.area_m, room.floor_size_m - 2.0 * config.contact_gap_m)
    while True:
        for_scale, for_yaw, for_x, for_y = rng.random(4).tolist()
        scale = low + for_scale * (high - low) if kept_scale is None else kept_scale
        yaw = 2.0 * math.pi * for_yaw
        body = shape.parts.posed(scale, yaw)
        box_low, box_high = body.low.min(axis=0), body.high.max(axis=0)
        play = area_m - (box_high - box_low)[:2]
        if play.min() < 0.0:
            yield None
            continue
        x, y = (-area_m / 2.0 - box_low[:2] + play * (for_x, for_y)).tolist()
        # The mesh stands on the ground; its convex parts may be slightly larger.
        position = (x, y, ground_z_m - scale * shape.lowest)
        pose = PlacedObject(FIRST_OBJECT_ID, shape.uid, scale, yaw, position)
        yield _Standing(shape, pose, body.moved(np.array(position)))
