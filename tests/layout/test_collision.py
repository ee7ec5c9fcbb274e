import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from layout_shapes import box, table

from scenegen.layout.collision import CollisionWorld, Parts

CUBE = Parts.of([box((1, 1, 1)).vertices])
TABLE = Parts.of([part.vertices for part in table()])
CLEARANCE = 0.002


@pytest.fixture
def world():
    with CollisionWorld(CLEARANCE) as world:
        yield world


@pytest.mark.parametrize(("gap_m", "fits"), [(-0.3, False), (0.0, False), (0.0019, False), (0.0021, True), (0.3, True)])
def test_the_clearance_is_what_it_says_whatever_margin_the_engine_adds(world, gap_m, fits):
    world.place(CUBE.posed(1.0, 0.0, (0, 0, 0)))
    assert world.fits(CUBE.posed(1.0, 0.0, (1.0 + gap_m, 0.1, 0.2))) is fits


def test_contact_without_clearance_is_no_collision_but_a_hundredth_of_a_millimetre_is():
    with CollisionWorld(0.0) as world:
        world.place(CUBE.posed(1.0, 0.0, (0, 0, 0)))
        assert world.fits(CUBE.posed(1.0, 0.0, (1.0 + 1e-5, 0, 0)))
        assert not world.fits(CUBE.posed(1.0, 0.0, (1.0 - 1e-5, 0, 0)))


def test_a_cube_fits_under_a_table_and_not_through_its_leg(world):
    world.place(TABLE.posed(2.0, 0.4, (0, 0, 0)))
    assert world.fits(CUBE.posed(0.8, 0.7, (0, 0, 0.41)))
    leg = 2.0 * 0.45 * np.array([np.cos(0.4) - np.sin(0.4), np.sin(0.4) + np.cos(0.4)])
    assert not world.fits(CUBE.posed(0.2, 0.0, (*leg, 0.5)))


def test_boxes_that_overlap_do_not_matter_when_the_shapes_are_apart(world):
    """Two thin plates turned by 45 degrees: their boxes share a quarter of their area."""
    plate = Parts.of([box((1.0, 0.05, 1.0)).vertices])
    world.place(plate.posed(1.0, np.pi / 4, (0, 0, 0)))
    assert world.fits(plate.posed(1.0, np.pi / 4, (0.2, -0.2, 0)))
    assert not world.fits(plate.posed(1.0, -np.pi / 4, (0.2, -0.2, 0)))


@given(yaw=st.floats(0, 6.2), x=st.floats(-2, 2), y=st.floats(-2, 2), scale=st.floats(0.5, 2))
@settings(max_examples=25, deadline=None)
def test_fitting_is_mutual(yaw, x, y, scale):
    a, b = TABLE.posed(1.3, 0.0, (0, 0, 0)), CUBE.posed(scale, yaw, (x, y, 0.1))
    answers = []
    for first, second in ((a, b), (b, a)):
        with CollisionWorld(CLEARANCE) as world:
            world.place(first)
            answers.append(world.fits(second))
    assert answers[0] == answers[1]


@given(yaw=st.floats(0, 6.2), x=st.floats(-2, 2), y=st.floats(-2, 2))
@settings(max_examples=25, deadline=None)
def test_balls_collide_exactly_when_their_centres_are_near(yaw, x, y):
    ball = Parts.of([trimesh.creation.icosphere(3).vertices * 0.5])
    distance = np.hypot(x, y)
    with CollisionWorld(CLEARANCE) as world:
        world.place(ball.posed(1.0, 0.0, (0, 0, 0)))
        if abs(distance - 1.0) > 0.02:
            assert world.fits(ball.posed(1.0, yaw, (x, y, 0))) is bool(distance > 1.0)


@pytest.mark.parametrize(("x", "clear"), [(0.0, False), (0.49, False), (0.74, False), (0.76, True)])
def test_a_camera_is_clear_of_a_body_by_its_distance_to_it(world, x, clear):
    world.place(CUBE.posed(1.0, 0.0, (0, 0, 0)))
    assert world.is_clear((x, 0.0, 0.0), 0.25) is clear


def test_worlds_do_not_know_of_each_other():
    with CollisionWorld(CLEARANCE) as one, CollisionWorld(CLEARANCE) as other:
        one.place(CUBE.posed(1.0, 0.0, (0, 0, 0)))
        assert other.fits(CUBE.posed(1.0, 0.0, (0, 0, 0)))
        other.place(CUBE.posed(1.0, 0.0, (5, 0, 0)))
        assert not one.fits(CUBE.posed(1.0, 0.0, (0.5, 0, 0)))
