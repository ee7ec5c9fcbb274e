"""The voxels of a mesh are those that its triangles touch, no more and no less."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenegen.contract.voxels import surface_voxels


def separated(axis, triangle_33, box_83):
    along_triangle, along_box = triangle_33 @ axis, box_83 @ axis
    return along_triangle.max() < along_box.min() or along_triangle.min() > along_box.max()


def voxels_by_definition(triangles_T33, resolution):
    """Every triangle against every voxel of the grid, by all thirteen separating axes."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    found = set()
    for triangle in (triangles_T33.astype(np.float64) + 0.5) * resolution:
        edges = np.roll(triangle, -1, axis=0) - triangle
        axes = [*np.eye(3), np.cross(edges[0], edges[1]), *(np.cross(a, e) for a in np.eye(3) for e in edges)]
        for index in np.ndindex((resolution,) * 3):
            if not any(separated(axis, triangle, corners + index) for axis in axes):
                found.add(index)
    return np.array(sorted(found), np.uint8).reshape(-1, 3)


@pytest.mark.parametrize("size", [0.05, 0.2, 0.8])
def test_voxels_are_those_that_no_axis_separates_from_the_triangle(size):
    rng = np.random.default_rng(round(100 * size))
    triangles = rng.uniform(-0.5, 0.5, (12, 1, 3)) + rng.uniform(-size, size, (12, 3, 3))
    triangles /= 2 * np.abs(triangles).max() + 0.01
    triangles[0, 2] = triangles[0, 1]  # a segment
    triangles[1, 1:] = triangles[1, 0]  # a point
    triangles[2, :, 0] = 0.01  # upright, in one layer
    found = surface_voxels(triangles.reshape(-1, 3), np.arange(36).reshape(-1, 3), resolution=8)
    np.testing.assert_array_equal(found, voxels_by_definition(triangles, 8))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.floats(0.001, 1.0))
def test_every_point_of_a_mesh_lies_in_one_of_its_voxels(seed, size):
    rng = np.random.default_rng(seed)
    vertices = (rng.uniform(-0.5, 0.5, 3) + rng.normal(scale=size, size=(30, 3))).clip(-0.499, 0.499)
    weights = rng.dirichlet([1, 1, 1], (10, 50))
    points = (weights[..., None] * vertices.reshape(10, 1, 3, 3)).sum(axis=2).reshape(-1, 3)
    found = surface_voxels(vertices, np.arange(30).reshape(-1, 3))
    assert {*map(tuple, np.floor((points + 0.5) * 64).astype(int))} <= {*map(tuple, found.astype(int))}


def test_a_plane_between_two_layers_belongs_to_the_upper_one():
    square = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]])
    found = surface_voxels(square, np.array([[0, 1, 2], [0, 2, 3]]))
    assert found.shape == (64 * 64, 3)
    assert (found[:, 2] == 32).all()


def test_the_order_is_by_x_y_z_and_what_sticks_out_lies_on_the_walls():
    vertices = np.array([[0.7, 0.1, 0.1], [0.8, 0.2, 0.1], [0.9, 0.1, 0.3]], np.float32)
    found = surface_voxels(vertices, np.array([[0, 1, 2]]))
    assert (found[:, 0] == 63).all()
    code = found.astype(int) @ [64 * 64, 64, 1]
    assert (np.diff(code) > 0).all()
    assert found.dtype == np.uint8


def test_a_mesh_without_triangles_has_no_voxels():
    assert surface_voxels(np.zeros((4, 3)), np.zeros((0, 3), int)).shape == (0, 3)


def test_vertices_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite"):
        surface_voxels(np.array([[0, 0, np.nan]] * 3), np.array([[0, 1, 2]]))
    with pytest.raises(ValueError, match="uint8"):
        surface_voxels(np.zeros((3, 3)), np.array([[0, 1, 2]]), resolution=512)
