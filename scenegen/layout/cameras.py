"""Candidate cameras of a scene: the official distribution, and its variations."""

import math
from collections.abc import Iterator

import numpy as np

from scenegen.config import CameraConfig
from scenegen.layout.spec import CameraSpec

Point = tuple[float, float, float]
GOLDEN_STEP = (math.sqrt(5.0) - 1.0) / 2.0
"""Step of the azimuth between candidates of one view, in turns: any number of steps covers the circle evenly."""


def radical_inverse_base_2(index: int) -> float:
    """Van der Corput sequence: the binary digits of the index, mirrored at the binary point."""
    result, digit = 0.0, 0.5
    while index:
        result += digit * (index & 1)
        index >>= 1
        digit /= 2.0
    return result


def candidate_cameras(config: CameraConfig, rng: np.random.Generator) -> list[Iterator[CameraSpec]]:
    """For each view an endless stream of candidates; the first ones of all views are the official set.

    Directions are a Hammersley set with one random offset for the scene: sin(elevation) is uniform in
    [0, max_elevation_sin), the azimuth covers the circle. Further candidates of a view keep its distance, field of view
    and stratum of elevation and change the azimuth, so that rejection does not change those distributions.
    """
    offset_u, offset_v = rng.random(2)
    streams = rng.spawn(config.num_views)
    return [_candidates(config, n, (float(offset_u), float(offset_v)), streams[n]) for n in range(config.num_views)]


def _candidates(
    config: CameraConfig, view: int, offset: tuple[float, float], rng: np.random.Generator
) -> Iterator[CameraSpec]:
    radius_m, fov_rad = radius_and_fov(config, rng)
    size = (config.resolution_px, config.resolution_px)
    u, v = (view + offset[0]) / config.num_views, radical_inverse_base_2(view) + offset[1]
    while True:
        jitter = (rng.uniform(-1.0, 1.0, size=3) * config.target_jitter_m).tolist()
        roll_rad = math.radians(config.roll_deg) * float(rng.uniform(-1.0, 1.0))
        sin, azimuth = u * config.max_elevation_sin, 2.0 * math.pi * v
        level = radius_m * math.sqrt(1.0 - sin**2)
        eye = (level * math.cos(azimuth), level * math.sin(azimuth), radius_m * sin)
        yield CameraSpec(look_at(eye, (jitter[0], jitter[1], jitter[2]), roll_rad), fov_rad, size)
        u, v = (view + rng.random()) / config.num_views, v + GOLDEN_STEP


def radius_and_fov(config: CameraConfig, rng: np.random.Generator) -> tuple[float, float]:
    """(distance in metres, horizontal field of view in radians) of a camera.

    1 / distance^2 is uniform between the distances at which the framed sphere fills the widest and the narrowest view.
    """
    narrow, wide = (math.radians(fov) for fov in config.fov_deg)
    far = config.framed_radius_m / math.sin(narrow / 2.0)
    near = config.framed_radius_m / math.sin(wide / 2.0)
    radius = 1.0 / math.sqrt(float(rng.uniform(1.0 / far**2, 1.0 / near**2)))
    free_fov = float(rng.uniform(narrow, wide))
    return radius, free_fov if config.free_fov else 2.0 * math.asin(config.framed_radius_m / radius)


def look_at(eye_m: Point, target_m: Point, roll_rad: float = 0.0) -> tuple[tuple[float, ...], ...]:
    """T_world_cam as rows, OpenCV axes, with the world's z upwards in the image, then rotated by the roll.

    Scalar arithmetic, because products of arrays round differently on different processors.
    Raises ValueError if the view is straight up or down, where "upwards" is undefined.
    """
    x, y, z = (target - eye for target, eye in zip(target_m, eye_m, strict=True))
    level, length = math.hypot(x, y), math.sqrt(x * x + y * y + z * z)
    if level <= 1e-9 * length:
        raise ValueError("the camera looks straight up or down; give it a target beside its own vertical")
    forward = (x / length, y / length, z / length)
    right = (y / level, -x / level, 0.0)
    # forward x right
    down = (x * z / (length * level), y * z / (length * level), -level / length)
    c, s = math.cos(roll_rad), math.sin(roll_rad)
    rows = zip(right, down, forward, eye_m, strict=True)
    return (*((c * r + s * d, -s * r + c * d, f, e) for r, d, f, e in rows), (0.0, 0.0, 0.0, 1.0))
