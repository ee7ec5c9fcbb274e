"""Insides and small holes, on surfaces that are extracted as a decoder's are: from the voxels at the surface alone."""

import numpy as np
import pytest
import torch
import trimesh

from models.flexicubes.extraction import cube_channels, extract_mesh
from models.flexicubes.tables import CORNERS
from pipelines.complete.results import ColouredMesh
from pipelines.complete.surface.clean import cleaned
from pipelines.complete.surface.hidden import visible_faces
from pipelines.complete.surface.holes import without_small_holes

RESOLUTION = 256  # of the cubes; voxels have four along an edge
RADIUS = 0.2
TOP = np.array([0.5, 0.5, 12.5]) / 64  # the middle of a voxel at the top of a ball
AREA, VOLUME = 4 * np.pi * RADIUS**2, 4 / 3 * np.pi * RADIUS**3


def sphere(p):
    return np.linalg.norm(p, axis=-1) - RADIUS


def cup(p):
    radius, z = np.linalg.norm(p[..., :2], axis=-1), p[..., 2]
    inside, outside = np.maximum(radius - 0.12, -(z + 0.15)), np.maximum(radius - 0.2, np.abs(z) - 0.2)
    return np.maximum(outside, -inside)


def grid(edge):
    return np.stack(np.meshgrid(*[np.arange(edge)] * 3, indexing="ij"), -1).reshape(-1, 3)


def decoded(distance, hole=0.0) -> ColouredMesh:
    """What FlexiCubes makes of the voxels that a surface touches, but those within `hole` of TOP."""
    voxels = grid(RESOLUTION // 4)
    centres = (voxels + 0.5) * 4 / RESOLUTION - 0.5
    touched = np.abs(distance(centres)) < 0.87 * 4 / RESOLUTION
    touched &= np.linalg.norm(centres - TOP, axis=1) >= hole
    cubes = (voxels[touched][:, None] * 4 + grid(4)).reshape(-1, 3)
    fields = torch.zeros(len(cubes), cube_channels(False))
    corners = (cubes[:, None] + np.asarray(CORNERS)) / RESOLUTION - 0.5
    fields[:, :8] = torch.from_numpy(distance(corners)) + 1 / RESOLUTION  # the bias that fields have
    with torch.no_grad():
        mesh = extract_mesh(fields, torch.from_numpy(cubes), RESOLUTION, False, False)
    vertices = mesh.vertices_V3.numpy()
    return ColouredMesh(vertices, mesh.faces_F3.numpy(), np.full((len(vertices), 3), 90, np.uint8))


def solid(mesh):
    return trimesh.Trimesh(mesh.vertices_V3, mesh.faces_F3, process=False)


def test_a_decoded_ball_is_a_shell_and_becomes_a_ball():
    shell = decoded(sphere)
    ball = solid(cleaned(shell))
    assert solid(shell).area > 1.9 * ball.area
    assert ball.area == pytest.approx(AREA, rel=0.02)
    assert ball.is_watertight and ball.volume == pytest.approx(VOLUME, rel=0.03)


def test_the_inside_goes_behind_a_hole_of_a_voxel_and_the_hole_is_closed():
    shell = decoded(sphere, hole=0.01)
    assert solid(shell).body_count == 1  # through the hole the inside hangs on the outside
    ball = solid(cleaned(shell))
    assert ball.is_watertight and ball.volume == pytest.approx(VOLUME, rel=0.03)


@pytest.mark.parametrize(("shape", "hole"), [(cup, 0.0), (sphere, 0.1)], ids=["cup", "ball with an opening"])
def test_an_inside_that_can_be_seen_stays(shape, hole):
    mesh = decoded(shape, hole)
    seen = visible_faces(mesh.vertices_V3, mesh.faces_F3)
    outside = trimesh.Trimesh(mesh.vertices_V3, mesh.faces_F3[seen], process=False)
    inner = np.linalg.norm(outside.triangles_center[:, :2], axis=1) < 0.16
    assert (inner & (outside.triangles_center[:, 2] < 0)).sum() > 500
    low = outside.triangles_center[:, 2] < 0
    looking_in = (outside.face_normals * outside.triangles_center).sum(1) < 0
    assert (low & looking_in).sum() > 500


def test_a_coarse_mesh_hides_its_inside_as_well():
    """Triangles much larger than the cells that air is let into."""
    outer, inner = trimesh.creation.box((0.8,) * 3), trimesh.creation.box((0.5,) * 3)
    inner.invert()
    both = trimesh.util.concatenate([outer, inner])
    np.testing.assert_array_equal(visible_faces(both.vertices, both.faces), np.arange(24) < 12)


def test_holes_are_closed_in_their_rims_colour_and_openings_are_not():
    ball = trimesh.creation.icosphere(4)
    pierced = np.linalg.norm(ball.triangles_center - [0, 0, 1], axis=1) < 0.15
    colours = np.where(ball.vertices[:, 2:] > 0, [[200, 0, 0]], [[0, 0, 200]]).astype(np.uint8)
    open_ball = ColouredMesh(ball.vertices, ball.faces[~pierced], colours)
    closed = without_small_holes(open_ball)
    assert solid(closed).is_watertight and not solid(open_ball).is_watertight
    assert solid(closed).volume == pytest.approx(ball.volume, rel=0.01)
    assert closed.colours_V3[-1].tolist() == [200, 0, 0]
    bowl = ColouredMesh(
        ball.vertices, ball.faces[ball.triangles_center[:, 2] < 0], None
    )  # its rim has more than 55 edges
    assert without_small_holes(bowl) is bowl


def test_what_is_clean_stays_as_it_is():
    ball = trimesh.creation.icosphere(3, radius=0.4)
    mesh = ColouredMesh(ball.vertices.astype(np.float32), ball.faces, None)
    assert cleaned(mesh) is mesh
