"""The room of a scene: how many walls, on which sides, and what each plane is made of."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from scenegen.config import RoomConfig
from scenegen.errors import UsageError
from scenegen.layout.spec import WALL_SIDES, MaterialSpec, RoomSpec, WallSpec

EXTERNAL = "external"
EXTERNAL_SHARE = 0.5
"""Share of planes with an external material if both kinds are available."""

INDOOR_FLOORS: Mapping[str, float] = {
    "wood_planks": 3.0,
    "parquet": 3.0,
    "tiles": 2.0,
    "carpet": 2.0,
    "concrete": 1.0,
    "marble": 1.0,
    "terrazzo": 1.0,
    "metal": 0.25,
}
OUTDOOR_FLOORS: Mapping[str, float] = {
    "asphalt": 2.0,
    "gravel": 2.0,
    "grass": 2.0,
    "concrete": 2.0,
    "brick": 1.0,
    "tiles": 1.0,
    "wood_planks": 1.0,
    "terrazzo": 0.5,
}
WALLS: Mapping[str, float] = {
    "painted_wall": 3.0,
    "plaster": 3.0,
    "wallpaper": 2.0,
    "brick": 2.0,
    "concrete": 1.0,
    "tiles": 1.0,
    "wood_planks": 1.0,
    "fabric": 0.5,
    "marble": 0.5,
    "metal": 0.25,
}


def sample_room(
    config: RoomConfig, material_uids: Sequence[str], rng: np.random.Generator, procedural: bool = True
) -> RoomSpec:
    """A floor and 0 to 4 walls, each with a material of its own (supplement section 5).

    material_uids: external materials; they are used in addition to the built-in families, or alone without
    `procedural`. Raises UsageError if there is no material at all.
    """
    weights = np.asarray(config.wall_count_weights) / sum(config.wall_count_weights)
    count = int(rng.choice(len(weights), p=weights))
    sides = [WALL_SIDES[i] for i in sorted(rng.permutation(len(WALL_SIDES))[:count])]
    floors = INDOOR_FLOORS if count else OUTDOOR_FLOORS
    floor = _material(floors, config, material_uids, rng, procedural)
    walls = tuple(WallSpec(side, _material(WALLS, config, material_uids, rng, procedural)) for side in sides)
    return RoomSpec(config.floor_size_m, config.floor_z_m, config.wall_height_m, floor, walls)


def _material(
    families: Mapping[str, float],
    config: RoomConfig,
    external_uids: Sequence[str],
    rng: np.random.Generator,
    procedural: bool,
) -> MaterialSpec:
    if not procedural and not external_uids:
        raise UsageError('there are no materials; add "procedural" or a folder with materials to assets.materials')
    external = bool(external_uids) and (rng.random() < EXTERNAL_SHARE or not procedural)
    family, uid = EXTERNAL, ""
    if external:
        uid = external_uids[int(rng.integers(len(external_uids)))]
    else:
        weights = np.fromiter(families.values(), float)
        family = list(families)[int(rng.choice(len(weights), p=weights / weights.sum()))]
    low, high = (math.log(scale) for scale in config.material_scale)
    return MaterialSpec(
        family=family,
        seed=int(rng.integers(2**31)),
        scale=math.exp(float(rng.uniform(low, high))),
        rotation_rad=int(rng.integers(4)) * math.pi / 2.0,
        uid=uid,
    )
