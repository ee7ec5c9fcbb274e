"""Every fixture that the index lists, against our networks and algorithms.

A new fixture of a known class needs no code: its class name and arguments say what to build.
"""

from __future__ import annotations

import re

import parity_algorithms as algorithms
import parity_networks as networks
import pytest
import torch
from parity_compare import assert_close, assert_same_mesh, assert_same_partition
from parity_fixtures import Fixture, fixture_folder, fixture_index, load_fixture

from models.flexicubes.extraction import Mesh

RUNNERS = {**networks.RUNNERS, **algorithms.RUNNERS}
FOLDER = fixture_folder()
SOLVED = re.compile(r"infer[._]")  # MoGe's outputs behind an iterative solver: the fixture asks for 1e-3


@pytest.mark.parametrize("name", sorted(fixture_index(FOLDER)))
def test_we_compute_what_the_reference_computes(name: str) -> None:
    fixture = load_fixture(FOLDER, name)
    with torch.no_grad():
        ours = RUNNERS[fixture.cls](fixture)
    for mesh_name in [key for key, value in ours.items() if isinstance(value, Mesh)]:
        compare_mesh(fixture, mesh_name, ours.pop(mesh_name))
    compare_tensors(fixture, ours)


def compare_tensors(fixture: Fixture, ours: dict) -> None:
    tolerance = fixture.meta["tol"]
    for key, reference in fixture.outputs.items():
        if key in mesh_keys(fixture):
            continue
        assert key in ours, f"no output {key} for a fixture of class {fixture.cls}"
        what = f"{fixture.name}: {key}"
        if key.startswith("window_id"):
            assert_same_partition(ours[key], reference, what)
            continue
        rtol = 1e-3 if fixture.cls == "MoGeModel" and SOLVED.match(key) else tolerance["rtol"]
        assert_close(ours[key], reference, tolerance["atol"], rtol, what)


def mesh_parts(fixture: Fixture, name: str) -> dict[str, str]:
    """Which outputs of the fixture describe a mesh: attribute -> key."""
    prefix = {"mesh": "", "train_mesh": "train_"}.get(name, f"{name}.")
    attributes = ("vertices", "faces", "face_normal", "vertex_attrs")
    return {a: prefix + a for a in attributes if prefix + a in fixture.outputs}


def mesh_keys(fixture: Fixture) -> set[str]:
    names = {"mesh", "train_mesh"} | {key.split(".")[0] for key in fixture.outputs if re.match(r"m\d+\.", key)}
    return {key for name in names for key in mesh_parts(fixture, name).values()}


def compare_mesh(fixture: Fixture, name: str, mesh: Mesh) -> None:
    parts = {a: fixture.outputs[key] for a, key in mesh_parts(fixture, name).items()}
    atol, rtol = fixture.meta["tol"]["atol"], fixture.meta["tol"]["rtol"]
    what = f"{fixture.name}: {name}"
    reference = parts["vertices"], parts["faces"]
    row = assert_same_mesh((mesh.vertices_V3, mesh.faces_F3), reference, atol, what)
    if "vertex_attrs" in parts:
        assert_close(mesh.attributes_VA[row], parts["vertex_attrs"], atol, rtol, f"{what} attributes")
    if "face_normal" in parts:
        expected = Mesh(*(x.long() if i else x for i, x in enumerate(reference))).face_normals_F3
        assert_close(expected, parts["face_normal"], 1e-3, 1e-3, f"{what} normals")
