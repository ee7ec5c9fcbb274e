import dataclasses

import numpy as np
import pytest
from scipy import stats

from scenegen.config import CameraConfig
from scenegen.layout.cameras import candidate_cameras, look_at, radical_inverse_base_2

CONFIG = CameraConfig()


def first_cameras(config: CameraConfig, scenes: int):
    return [next(stream) for seed in range(scenes) for stream in candidate_cameras(config, np.random.default_rng(seed))]


def positions(cameras) -> np.ndarray:
    return np.array([camera.matrix_world[:3, 3] for camera in cameras])


def test_a_pose_is_a_rotation_with_opencv_axes_and_z_up_in_the_image():
    for camera in first_cameras(CONFIG, 3):
        R = camera.matrix_world[:3, :3]
        assert np.allclose(R @ R.T, np.eye(3)) and np.isclose(np.linalg.det(R), 1.0)
        assert np.isclose(R[2, 0], 0.0), "x is level"
        assert R[2, 1] < 0.0, "y points down"


def test_the_target_is_in_the_middle_of_the_image():
    for camera in first_cameras(CONFIG, 3):
        target = np.linalg.inv(camera.matrix_world) @ (0.0, 0.0, 0.0, 1.0)
        pixel = camera.K_px @ target[:3]
        assert np.allclose(pixel[:2] / pixel[2], CONFIG.resolution_px / 2) and target[2] > 0


def test_cameras_follow_the_closed_form_of_the_official_distribution():
    """sin(elevation) ~ U[0, 2/3), azimuth ~ U[0, 2 pi), 1/r^2 uniform between the radii of 20 and 70 degrees."""
    p = positions(first_cameras(CONFIG, 100))
    radius = np.linalg.norm(p, axis=1)
    near, far = (np.sqrt(3) / np.sin(np.radians(fov / 2)) for fov in (70, 20))
    uniform = {
        "sin elevation": p[:, 2] / radius / (2 / 3),
        "azimuth": np.arctan2(p[:, 1], p[:, 0]) / (2 * np.pi) % 1.0,
        "1/r^2": (1 / radius**2 - 1 / far**2) / (1 / near**2 - 1 / far**2),
    }
    for name, values in uniform.items():
        assert values.min() >= 0 and values.max() < 1, name
        assert stats.kstest(values, "uniform").pvalue > 0.01, name


def test_one_scene_covers_the_sphere_evenly():
    """Hammersley: with 30 views every thirtieth of the elevations holds exactly one."""
    p = positions(first_cameras(CONFIG, 1))
    bands = np.floor(p[:, 2] / np.linalg.norm(p, axis=1) / (2 / 3) * 30).astype(int)
    assert sorted(bands) == list(range(30))


def test_further_candidates_keep_distance_and_elevation_and_go_around_the_scene():
    streams = candidate_cameras(CONFIG, np.random.default_rng(0))
    for n in (0, 7, 29):
        p = positions([next(streams[n]) for _ in range(200)])
        u = p[:, 2] / np.linalg.norm(p, axis=1) / (2 / 3) * 30 - n
        assert u.min() >= 0 and u.max() <= 1
        assert np.ptp(np.linalg.norm(p, axis=1)) < 1e-9
        azimuth = np.arctan2(p[1:, 1], p[1:, 0]) / (2 * np.pi) % 1.0
        assert stats.kstest(azimuth, "uniform").pvalue > 0.01


def test_taking_more_candidates_of_one_view_leaves_the_others_alone():
    a, b = (candidate_cameras(CONFIG, np.random.default_rng(5)) for _ in range(2))
    for _ in range(4):
        next(a[0])
    assert next(a[1]) == next(b[1])


def test_every_view_frames_the_same_sphere():
    for camera in first_cameras(CONFIG, 2):
        radius = np.linalg.norm(camera.matrix_world[:3, 3])
        assert np.isclose(radius * np.sin(camera.fov_x_rad / 2), CONFIG.framed_radius_m)
        assert 20 <= np.degrees(camera.fov_x_rad) <= 70


def test_field_of_view_may_be_freed_from_the_distance():
    cameras = first_cameras(dataclasses.replace(CONFIG, free_fov=True), 20)
    radius = np.linalg.norm(positions(cameras), axis=1)
    fov = np.degrees([camera.fov_x_rad for camera in cameras])
    assert abs(np.corrcoef(radius, fov)[0, 1]) < 0.1
    assert stats.kstest((fov - 20) / 50, "uniform").pvalue > 0.01


def test_target_and_roll_may_vary():
    config = dataclasses.replace(CONFIG, target_jitter_m=0.5, roll_deg=10.0)
    cameras = first_cameras(config, 10)
    level = np.degrees([np.arcsin(camera.matrix_world[2, 0]) for camera in cameras])
    assert 5 < np.abs(level).max() <= 10
    misses = [np.linalg.norm(np.cross(camera.matrix_world[:3, 3], camera.matrix_world[:3, 2])) for camera in cameras]
    assert 0.3 < max(misses) <= 0.5 * np.sqrt(3)


def test_a_view_straight_down_has_no_up():
    with pytest.raises(ValueError, match="straight"):
        look_at((0.0, 0.0, 5.0), (0.0, 0.0, 0.0))


def test_the_radical_inverse_mirrors_binary_digits():
    assert [radical_inverse_base_2(n) for n in range(5)] == [0.0, 0.5, 0.25, 0.75, 0.125]
