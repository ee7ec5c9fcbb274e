"""Selects which candidate cameras become views, with a cheap ray cast before anything is rendered."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from scenegen.config import CameraConfig, VisibilityConfig
from scenegen.contract.records import FIRST_OBJECT_ID
from scenegen.layout.cameras import candidate_cameras
from scenegen.layout.collision import CollisionWorld
from scenegen.layout.spec import CameraSpec, ViewSpec
from scenegen.layout.visibility import SceneCaster, unseen_walls

TOO_NEAR = "inside or too near an object"
FEW_OBJECTS = "too few usable objects"
NONE_PASSED = "best of the rejected taken"


@dataclass(frozen=True, slots=True)
class _Candidate:
    view: ViewSpec
    clear: bool
    usable: int


def choose_views(
    cameras: CameraConfig,
    config: VisibilityConfig,
    caster: SceneCaster,
    world: CollisionWorld,
    wall_margin_m: float,
    rng: np.random.Generator,
) -> tuple[tuple[ViewSpec, ...], tuple[tuple[str, int], ...]]:
    """The views of a scene, and how many candidates were rejected for which reason.

    A view takes its first candidate that is clear of the objects in `world` and shows enough of them. If none of
    `max_candidates` does, it takes the best of them, which is counted as "best of the rejected taken".
    """
    rejected: Counter[str] = Counter()
    placed = len(caster.objects)
    wanted = max(min(config.min_usable_objects, placed), math.ceil(config.min_usable_fraction * placed))
    views = []
    for stream in candidate_cameras(cameras, rng):
        views.append(_choose(stream, wanted, config, caster, world, wall_margin_m, rejected))
    return tuple(views), tuple(sorted(rejected.items()))


def _choose(
    stream: Iterator[CameraSpec],
    wanted: int,
    config: VisibilityConfig,
    caster: SceneCaster,
    world: CollisionWorld,
    wall_margin_m: float,
    rejected: Counter[str],
) -> ViewSpec:
    tried = []
    for camera in islice(stream, config.max_candidates):
        position = tuple(row[3] for row in camera.T_world_cam[:3])
        view = ViewSpec(camera, unseen_walls(caster.room, position, wall_margin_m))
        clear = world.is_clear(position, config.min_clearance_m)
        # A camera inside an object is not worth a ray cast.
        candidate = _Candidate(view, clear, usable_objects(caster, view, config) if clear else -1)
        if clear and candidate.usable >= wanted:
            return view
        rejected[FEW_OBJECTS if clear else TOO_NEAR] += 1
        tried.append(candidate)
    rejected[NONE_PASSED] += 1
    return max(tried, key=lambda candidate: (candidate.clear, candidate.usable)).view


def usable_objects(caster: SceneCaster, view: ViewSpec, config: VisibilityConfig) -> int:
    """The number of objects that cover at least the usable share of the pixels, at the resolution of the pre-pass."""
    ids, _ = caster.view(view, (config.prepass_px, config.prepass_px))
    counts = np.bincount(ids.ravel(), minlength=FIRST_OBJECT_ID)[FIRST_OBJECT_ID:]
    return int((counts >= config.usable_share * ids.size).sum())
