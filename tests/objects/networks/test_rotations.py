"""Assets rotated at random."""

import numpy as np
import pytest

from scenegen.contract.voxels import surface_voxels
from scenegen.layout.randomness import AssetStage, rng_for_asset
from scenegen.objects.networks.rotations import rotated, uniform_rotations


def test_rotations_are_rotations_and_the_first_is_none():
    rotations = uniform_rotations(16, np.random.default_rng(0))
    np.testing.assert_array_equal(rotations[0], np.eye(3))
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (16, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotations), 1)


def test_they_are_uniform_on_so3():
    """The angle has density (1 - cos) / pi, every entry mean 0 and mean square 1/3; Euler angles fail the first."""
    rotations = uniform_rotations(20_001, np.random.default_rng(0))[1:]
    angle = np.arccos(np.clip((np.trace(rotations, axis1=1, axis2=2) - 1) / 2, -1, 1))
    for limit in (np.pi / 3, np.pi / 2, 2 * np.pi / 3):
        assert (angle < limit).mean() == pytest.approx((limit - np.sin(limit)) / np.pi, abs=0.01)
    assert np.abs(rotations.mean(axis=0)).max() < 0.02
    np.testing.assert_allclose((rotations**2).mean(axis=0), 1 / 3, atol=0.01)


def test_more_rotations_begin_with_the_same_ones_and_belong_to_the_asset():
    def draw(count: int, uid: str) -> np.ndarray:
        return uniform_rotations(count, rng_for_asset(0, uid, AssetStage.ROTATIONS))

    np.testing.assert_array_equal(draw(4, "chair"), draw(16, "chair")[:4])
    assert not np.allclose(draw(2, "chair")[1], draw(2, "table")[1])


def test_a_turned_asset_fills_the_unit_cube_and_has_the_voxels_of_its_turned_mesh(torus):
    rotation = uniform_rotations(2, np.random.default_rng(5))[1]
    pose = rotated(torus, rotation, 1)
    vertices = torus.vertices @ pose.T_rot_obj[:3, :3].T + pose.T_rot_obj[:3, 3]
    assert np.ptp(vertices, axis=0).max() == pytest.approx(1)
    np.testing.assert_allclose(vertices.min(axis=0) + vertices.max(axis=0), 0, atol=1e-6)
    np.testing.assert_array_equal(pose.voxels, surface_voxels(vertices, torus.faces))
    scale = np.cbrt(np.linalg.det(pose.T_rot_obj[:3, :3]))
    np.testing.assert_allclose(pose.T_rot_obj[:3, :3], scale * rotation, atol=1e-12)


def test_rotation_0_is_the_asset_as_it_is(torus):
    pose = rotated(torus, np.eye(3), 0)
    np.testing.assert_array_equal(pose.T_rot_obj, np.eye(4))
    np.testing.assert_array_equal(pose.voxels, torus.voxels)
