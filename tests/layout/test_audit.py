import dataclasses

import numpy as np
import pytest
import trimesh
from layout_shapes import MemoryLibrary, box, room, scene, solids

from scenegen.layout.audit import audit_scene, winding_number
from scenegen.layout.spec import PlacedObject

LIBRARY = MemoryLibrary({**solids(), "shell": [trimesh.creation.icosphere(3)]})


def audit(*objects: PlacedObject, sides: tuple[str, ...] = ()):
    return audit_scene(dataclasses.replace(scene(objects), room=room(*sides)), LIBRARY)


def cube(instance_id, x, scale=1.0, y=0.0):
    return PlacedObject(instance_id, "cube", scale, 0.0, (x, y, scale / 2 - 0.5))


def test_objects_beside_each_other_pass():
    assert audit(cube(3, 0.0), cube(4, 1.001)) == ()


@pytest.mark.parametrize("depth_m", [0.0005, 0.01, 0.3])
def test_a_planted_interpenetration_is_found_with_its_depth(depth_m):
    (finding,) = audit(cube(3, 0.0), cube(4, 1.0 - depth_m))
    assert (finding.kind, finding.first_id, finding.second_id) == ("interpenetration", 3, 4)
    assert np.isclose(finding.depth_m, depth_m, atol=2e-4)


def test_a_planted_containment_is_found_though_no_surfaces_cross():
    ball = PlacedObject(4, "shell", 2.0, 0.0, (0.0, 0.0, 0.5))
    inner = PlacedObject(3, "cube", 0.5, 0.0, (0.1, 0.0, 0.5))
    (finding,) = audit(inner, ball)
    assert (finding.kind, finding.first_id, finding.second_id) == ("containment", 3, 4)


def test_what_stands_under_a_table_is_not_in_it():
    table = PlacedObject(3, "table", 2.0, 0.0, (0.0, 0.0, 0.26))
    assert audit(table, cube(4, 0.0)) == ()


def test_an_object_through_a_wall_or_the_floor_is_found():
    assert [f.kind for f in audit(cube(3, 3.3), sides=("x+",))] == ["wall"]
    assert audit(cube(3, 3.3), sides=("x-",)) == ()
    sunk = dataclasses.replace(cube(3, 0.0), translation_m=(0.0, 0.0, -0.1))
    assert [(f.kind, round(f.depth_m, 3)) for f in audit(sunk)] == [("floor", 0.1)]


def test_winding_number_is_one_inside_and_zero_outside():
    solid = box((1, 1, 1)).triangles
    assert np.isclose(winding_number(np.array([0.1, 0.2, -0.3]), solid), 1.0)
    assert np.isclose(winding_number(np.array([0.6, 0.2, -0.3]), solid), 0.0)
