"""FlexiCubes: its tables, and meshes of shapes that are known."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from flexicubes_scenes import sphere_cubes

from models.flexicubes.extraction import extract_mesh
from models.flexicubes.fields import cube_channels
from models.flexicubes.tables import EDGES, edge_groups, inside_corners, inversion_step, is_crossed

RADIUS = 0.31


@pytest.fixture(scope="module")
def sphere():
    return sphere_cubes(resolution=32, radius=RADIUS, solid=True)


def test_every_crossed_edge_of_a_case_lies_in_exactly_one_group() -> None:
    for case in range(256):
        grouped = sorted(edge for group in edge_groups(case) for edge in group)
        assert grouped == [edge for edge in range(12) if is_crossed(edge, inside_corners(case))]


def test_cases_have_up_to_four_dual_vertices_of_at_least_three_edges() -> None:
    groups = [edge_groups(case) for case in range(256)]
    assert {len(g) for g in groups} == {0, 1, 2, 3, 4}
    assert all(len(group) >= 3 for g in groups for group in g)


def test_there_are_thirty_six_cases_that_may_have_to_be_inverted() -> None:
    assert sum(inversion_step(case) != (0, 0, 0) for case in range(256)) == 36
    assert len({frozenset(pair) for pair in EDGES}) == 12


def test_a_sphere_becomes_a_closed_surface_with_normals_pointing_out(sphere) -> None:
    mesh = extract_mesh(*sphere, resolution=32, use_color=True)
    v, f = mesh.vertices_V3, mesh.faces_F3
    directed = torch.cat([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]])
    edges, counts = directed.sort(dim=1).values.unique(dim=0, return_counts=True)
    assert (counts == 2).all()
    assert len(directed.unique(dim=0)) == len(directed)
    assert len(v) - len(edges) + len(f) == 2
    centres = v[f].mean(1)
    assert (mesh.face_normals_F3 * centres).sum(1).min() > 0
    radius = v.norm(dim=1)
    assert (radius - RADIUS).abs().max() < 1 / 32


def test_colours_lie_between_zero_and_one(sphere) -> None:
    mesh = extract_mesh(*sphere, resolution=32, use_color=True)
    assert mesh.attributes_VA.shape == (len(mesh.vertices_V3), 6)
    assert 0 <= mesh.attributes_VA.min() <= mesh.attributes_VA.max() <= 1


def test_the_order_of_the_cubes_does_not_matter(sphere) -> None:
    feats, cubes = sphere
    order = torch.randperm(len(cubes))
    mesh, other = (extract_mesh(f, c, 32, True) for f, c in ((feats, cubes), (feats[order], cubes[order])))
    torch.testing.assert_close(mesh.vertices_V3, other.vertices_V3)
    assert torch.equal(mesh.faces_F3, other.faces_F3)


def test_the_training_mesh_is_the_same_surface_and_every_output_gets_a_gradient(sphere) -> None:
    feats, cubes = sphere
    feats = feats.clone().requires_grad_()
    plain = extract_mesh(feats, cubes, 32, True)
    trained = extract_mesh(feats, cubes, 32, True, training=True)
    duals = len(plain.vertices_V3)
    assert torch.equal(trained.vertices_V3[:duals], plain.vertices_V3)
    assert len(trained.faces_F3) == 2 * len(plain.faces_F3)
    loss = trained.vertices_V3.square().sum() + trained.attributes_VA.sum() + trained.training.reg_loss
    loss.backward()
    reached = feats.grad.abs().sum(0) > 0
    assert reached.all()
    assert feats.grad.isfinite().all()


def test_nothing_occupied_gives_an_empty_mesh() -> None:
    mesh = extract_mesh(torch.zeros(0, 53), torch.zeros(0, 3).int(), 16, False, training=True)
    assert len(mesh.vertices_V3) == len(mesh.faces_F3) == 0
    assert mesh.training.reg_loss == 0


def test_an_object_at_the_walls_of_the_grid_is_cut_off_and_not_wrapped_around() -> None:
    axis = torch.arange(4)
    cubes = torch.cartesian_prod(axis, axis, axis)
    mesh = extract_mesh(torch.full((64, 53), -1.0), cubes, 4, False)
    assert len(mesh.faces_F3) == 0


def test_outputs_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 53"):
        extract_mesh(torch.zeros(1, cube_channels(True)), torch.zeros(1, 3), 8, use_color=False)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_extraction_at_256_cubed_stays_below_one_gigabyte() -> None:
    """For 12,500 occupied voxels, above the network's outputs; the dense way needs more for its index arrays alone."""
    script = Path(__file__).with_name("flexicubes_scenes.py")
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, str(script), "256"], capture_output=True, text=True, check=True, env={"PYTHONPATH": root}
    )
    _, extraction_mb, inputs_mb, _ = (float(x) for x in done.stdout.split())
    assert inputs_mb > 300
    assert extraction_mb < 1000
