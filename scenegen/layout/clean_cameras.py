"""Cameras around an asset that is rendered alone: the official distributions, with a seed for each asset.

Their world frame is the canonical frame of the asset, and their unit is its longest side.
"""

import math

import numpy as np

from scenegen.config import CameraConfig
from scenegen.contract.objects import ViewKind
from scenegen.errors import UsageError
from scenegen.layout.cameras import look_at, radical_inverse_base_2, radius_and_fov
from scenegen.layout.randomness import AssetStage, rng_for_asset
from scenegen.layout.spec import CameraSpec

CLEAN_VIEW_RULE = 1
"""Version of cameras, light and settings: raise it when clean views change, so that older ones are made again."""
FEATURE_RADIUS = 2.0
FEATURE_FOV_RAD = math.radians(40.0)
CONDITION_FOV_DEG = (10.0, 70.0)
UNIT_CUBE_RADIUS = math.sqrt(3.0) / 2.0
"""Radius of the sphere around the unit cube; condition views frame it exactly."""
_STEEPEST_SIN = 1.0 - 1e-9  # looking straight up or down, "upwards" is undefined


def clean_cameras(kind: ViewKind, count: int, size_px: int, seed: int, uid: str) -> tuple[CameraSpec, ...]:
    """Square views of one asset from all sides, looking at its centre.

    Directions are a Hammersley set over the whole sphere with a random offset for each asset. "feature": distance 2,
    fov 40 degrees. "condition": 1/r^2 uniform, fov from 10 to 70 degrees tied to it so that the unit cube's sphere
    fills the view. Sources: TRELLIS's render scripts.

    Raises UsageError if count or size is not positive.
    """
    if count < 1 or size_px < 1:
        raise UsageError(f"{count} {kind} views of {size_px} px cannot be rendered; both must be at least 1")
    stage = AssetStage.CONDITION_VIEWS if kind == "condition" else AssetStage.FEATURE_VIEWS
    rng = rng_for_asset(seed, uid, stage)
    offset_u, offset_v = rng.random(2).tolist()
    streams = rng.spawn(count)
    cameras = []
    for n in range(count):
        distance, fov_rad = _distance_and_fov(kind, streams[n])
        sin = 1.0 - 2.0 * (n + offset_u) / count
        eye = _on_sphere(distance, sin, radical_inverse_base_2(n) + offset_v)
        cameras.append(CameraSpec(look_at(eye, (0.0, 0.0, 0.0)), fov_rad, (size_px, size_px)))
    return tuple(cameras)


def _distance_and_fov(kind: ViewKind, rng: np.random.Generator) -> tuple[float, float]:
    if kind == "feature":
        return FEATURE_RADIUS, FEATURE_FOV_RAD
    return radius_and_fov(CameraConfig(fov_deg=CONDITION_FOV_DEG, framed_radius_m=UNIT_CUBE_RADIUS), rng)


def _on_sphere(radius: float, elevation_sin: float, turns: float) -> tuple[float, float, float]:
    sin = max(-_STEEPEST_SIN, min(_STEEPEST_SIN, elevation_sin))
    level, azimuth = radius * math.sqrt(1.0 - sin**2), 2.0 * math.pi * turns
    return level * math.cos(azimuth), level * math.sin(azimuth), radius * sin
