"""Where cameras stand around an asset alone."""

import itertools
import math

import numpy as np
import pytest

from scenegen.errors import UsageError
from scenegen.layout.clean_cameras import clean_cameras

CUBE_CORNERS = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))


def positions(cameras) -> np.ndarray:
    return np.array([camera.matrix_world[:3, 3] for camera in cameras])


def test_feature_views_cover_the_whole_sphere_evenly_at_distance_2_with_40_degrees():
    cameras = clean_cameras("feature", 150, 512, 0, "chair")
    eyes = positions(cameras)
    np.testing.assert_allclose(np.linalg.norm(eyes, axis=1), 2.0)
    assert {camera.fov_x_rad for camera in cameras} == {math.radians(40)}
    assert {camera.size_px for camera in cameras} == {(512, 512)}
    assert np.abs(eyes.mean(axis=0)).max() < 0.02
    np.testing.assert_allclose(eyes.T @ eyes / 150, np.eye(3) * 4 / 3, atol=0.05)  # second moments of a sphere


def test_condition_views_have_10_to_70_degrees_and_hold_the_unit_cube_from_any_side():
    cameras = clean_cameras("condition", 200, 128, 3, "chair")
    fovs = np.degrees([camera.fov_x_rad for camera in cameras])
    assert 10 <= fovs.min() < 15 and 55 < fovs.max() <= 70
    for camera in cameras:
        corners = (CUBE_CORNERS - camera.matrix_world[:3, 3]) @ camera.matrix_world[:3, :3] @ camera.K_px.T
        pixels = corners[:, :2] / corners[:, 2:]
        assert pixels.min() >= 0 and pixels.max() <= 128


def test_cameras_look_at_the_centre_with_z_upwards():
    for camera in clean_cameras("feature", 20, 64, 0, "chair"):
        T = camera.matrix_world
        np.testing.assert_allclose(np.cross(T[:3, 2], -T[:3, 3]), 0, atol=1e-12)
        assert T[2, 1] < 0 and abs(T[2, 0]) < 1e-12  # the image's down is the world's down, its right is level


def test_views_belong_to_the_asset_the_seed_and_the_kind():
    views = [
        positions(clean_cameras(kind, 8, 64, seed, uid))
        for kind in ("condition", "feature")
        for seed in (0, 1)
        for uid in ("chair", "table")
    ]
    assert all(not np.allclose(a, b) for a, b in itertools.combinations(views, 2))
    np.testing.assert_array_equal(views[0], positions(clean_cameras("condition", 8, 512, 0, "chair")))


def test_no_views_are_refused():
    with pytest.raises(UsageError, match="at least 1"):
        clean_cameras("feature", 0, 64, 0, "chair")
