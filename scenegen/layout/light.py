"""The light of a scene: an environment map with random rotation and strength, and lamps above the objects."""

import math
from collections.abc import Sequence

import numpy as np

from scenegen.config import LightConfig, RoomConfig
from scenegen.errors import UsageError
from scenegen.layout.spec import LampSpec, LightSpec, RoomSpec

LAMP_LIKELIHOOD = (0.3, 0.7, 0.9, 1.2, 1.3)
"""Relative likelihood of lamps with 0 to 4 walls: closed rooms have lamps, open fields rarely."""

# A Lambertian area lamp of P watts gives P / (pi h^2) W/m^2 at h metres below. An HDR map at strength 1 gives about
# pi, and the official lamps about 3: 30 to 250 W at 2.5 to 5 m ranges from barely visible to the main light.
LAMP_POWER_W = (30.0, 250.0)
LAMP_HEIGHT_M = (2.8, 5.0)
LAMP_SIZE_M = (0.3, 1.5)
LAMP_KELVIN = (2700.0, 6500.0)


def sample_light(
    config: LightConfig, room_config: RoomConfig, room: RoomSpec, hdri_uids: Sequence[str], rng: np.random.Generator
) -> LightSpec:
    """Light for one scene, the same for all its views. Raises UsageError if there is no environment map."""
    if not hdri_uids:
        raise UsageError('there are no HDR maps; add "bpy" or a folder of .exr/.hdr files to assets.hdris')
    hdri_uid = hdri_uids[int(rng.integers(len(hdri_uids)))]
    rotation_rad = float(rng.uniform(0.0, 2.0 * np.pi)) if config.rotate else 0.0
    strength = _log_uniform(config.strength, rng)
    lamps: tuple[LampSpec, ...] = ()
    if rng.random() < lamp_probability(config, room_config, len(room.walls)):
        lamps = tuple(_lamp(room, rng) for _ in range(int(rng.integers(1, 4))))
    return LightSpec(hdri_uid, rotation_rad, strength, lamps)


def lamp_probability(config: LightConfig, room_config: RoomConfig, num_walls: int) -> float:
    """Chance of lamps in a room with so many walls; over all rooms `config.lamp_probability`, unless one clips at 1."""
    weights = room_config.wall_count_weights
    mean = sum(w * likely for w, likely in zip(weights, LAMP_LIKELIHOOD, strict=True)) / sum(weights)
    return min(1.0, config.lamp_probability * LAMP_LIKELIHOOD[num_walls] / mean)


def _lamp(room: RoomSpec, rng: np.random.Generator) -> LampSpec:
    reach = room.floor_size_m / 3.0
    x, y = rng.uniform(-reach, reach, size=2)
    z = room.floor_z_m + rng.uniform(*LAMP_HEIGHT_M)
    return LampSpec(
        position_m=(float(x), float(y), float(z)),
        size_m=_log_uniform(LAMP_SIZE_M, rng),
        power_w=_log_uniform(LAMP_POWER_W, rng),
        color_rgb=blackbody_rgb(float(rng.uniform(*LAMP_KELVIN))),
    )


def _log_uniform(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    return math.exp(float(rng.uniform(math.log(bounds[0]), math.log(bounds[1]))))


def blackbody_rgb(kelvin: float) -> tuple[float, float, float]:
    """Linear Rec. 709 colour of a black body, largest channel 1.

    From the Planckian locus in CIE 1931 xy (cubic fit of Kim et al. 2002, valid from 1667 to 25000 K).
    """
    t = 1000.0 / kelvin
    if kelvin < 4000.0:
        x = -0.2661239 * t**3 - 0.2343589 * t**2 + 0.8776956 * t + 0.179910
    else:
        x = -3.0258469 * t**3 + 2.1070379 * t**2 + 0.2226347 * t + 0.240390
    if kelvin < 2222.0:
        y = -1.1063814 * x**3 - 1.34811020 * x**2 + 2.18555832 * x - 0.20219683
    elif kelvin < 4000.0:
        y = -0.9549476 * x**3 - 1.37418593 * x**2 + 2.09137015 * x - 0.16748867
    else:
        y = 3.0817580 * x**3 - 5.87338670 * x**2 + 3.75112997 * x - 0.37001483
    X, Y, Z = x / y, 1.0, (1.0 - x - y) / y
    red = max(0.0, 3.2406 * X - 1.5372 * Y - 0.4986 * Z)
    green = max(0.0, -0.9689 * X + 1.8758 * Y + 0.0415 * Z)
    blue = max(0.0, 0.0557 * X - 0.2040 * Y + 1.0570 * Z)
    largest = max(red, green, blue)
    return red / largest, green / largest, blue / largest
