"""Where cameras stand: the official distribution, and its variations."""

import math
from collections.abc import Iterator

import numpy as np

from scenegen.config import CameraConfig
from scenegen.layout.spec import CameraSpec


def radical_inverse_base_2(index: int) -> float:
    """Van der Corput sequence: the binary digits of the index, mirrored at the point."""
    result, digit = 0.0, 0.5
    while index:
        result += digit * (index & 1)
        index >>= 1
        digit /= 2.0
    return result


def candidate_cameras(config: CameraConfig, rng: np.random.Generator) -> list[Iterator[CameraSpec]]:
    """For each view an endless stream of candidates; the first ones together are the official set.

    Directions are a Hammersley set with one random offset for the scene: sin(elevation) is uniform in
    [0, max_elevation_sin), the azimuth covers the circle. A further candidate keeps its view's distance, field of view
    and stratum of elevation and goes elsewhere around the scene, so that rejection cannot shift their distributions.
    """
    offset_u, offset_v = rng.random(2)
    streams = rng.spawn(config.num_views)
    return [_candidates(config, n, (float(offset_u), float(offset_v)), streams[n]) for n in range(config.num_views)]


def _candidates(
    config: CameraConfig, view: int, offset: tuple[float, float], rng: np.random.Generator
) -> Iterator[CameraSpec]:
    radius_m, fov_rad = _radius_and_fov(config, rng)
    u, v = (view + offset[0]) / config.num_views, radical_inverse_base_2(view) + offset[1]
    while True:
        target = rng.uniform(-1.0, 1.0, size=3) * config.target_jitter_m
        roll_rad = math.radians(config.roll_deg) * rng.uniform(-1.0, 1.0)
        eye = radius_m * direction(u * config.max_elevation_sin, 2.0 * math.pi * v)
        T = look_at(eye, target, roll_rad)
        size = (config.resolution_px, config.resolution_px)
        yield CameraSpec(tuple(tuple(float(value) for value in row) for row in T), fov_rad, size)
        u, v = (view + rng.random()) / config.num_views, rng.random()


def direction(elevation_sin: float, azimuth_rad: float) -> np.ndarray:
    """(3,) unit vector, z up."""
    level = math.sqrt(1.0 - elevation_sin**2)
    return np.array([level * math.cos(azimuth_rad), level * math.sin(azimuth_rad), elevation_sin])


def _radius_and_fov(config: CameraConfig, rng: np.random.Generator) -> tuple[float, float]:
    """1/r^2 uniform between the distances at which the framed sphere fills the widest and the narrowest view."""
    narrow, wide = (math.radians(fov) for fov in config.fov_deg)
    far = config.framed_radius_m / math.sin(narrow / 2.0)
    near = config.framed_radius_m / math.sin(wide / 2.0)
    radius = 1.0 / math.sqrt(rng.uniform(1.0 / far**2, 1.0 / near**2))
    free_fov = float(rng.uniform(narrow, wide))
    return radius, free_fov if config.free_fov else 2.0 * math.asin(config.framed_radius_m / radius)


def look_at(eye_m: np.ndarray, target_m: np.ndarray, roll_rad: float = 0.0) -> np.ndarray:
    """(4, 4) T_world_cam, OpenCV axes, with the world's z upwards in the image and then turned by the roll.

    Raises ValueError if the view is straight up or down, where "upwards" means nothing.
    """
    forward = np.asarray(target_m, dtype=np.float64) - eye_m
    right = np.cross(forward, (0.0, 0.0, 1.0))
    if np.linalg.norm(right) < 1e-9 * np.linalg.norm(forward):
        raise ValueError("the camera looks straight up or down; give it a target beside its own vertical")
    forward, right = forward / np.linalg.norm(forward), right / np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = math.cos(roll_rad), math.sin(roll_rad)
    T = np.eye(4)
    T[:3, 0] = c * right + s * down
    T[:3, 1] = -s * right + c * down
    T[:3, 2] = forward
    T[:3, 3] = eye_m
    return T
