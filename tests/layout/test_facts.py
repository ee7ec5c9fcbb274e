import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layout_shapes import MemoryLibrary, box, scene, solids

from scenegen.layout.facts import object_facts
from scenegen.layout.spec import PlacedObject, SceneSpec
from scenegen.layout.visibility import SceneCaster

LIBRARY = MemoryLibrary({**solids(), "box": [box((1.0, 0.6, 0.4))]})


def facts_of(spec: SceneSpec, ids=None):
    caster = SceneCaster.of(spec, LIBRARY)
    ids = caster.view(spec.views[0])[0] if ids is None else ids
    return ids, object_facts(spec, 0, ids, caster)


def cube(instance_id, x, y=0.0, z=0.0, scale=1.0):
    return PlacedObject(instance_id, "cube", scale, 0.0, (x, y, z))


def test_an_object_in_full_view_hides_nothing_of_itself():
    ids, (fact,) = facts_of(scene([cube(3, 0.0)]))
    rows, columns = np.nonzero(ids == 3)
    assert fact.visible_px == fact.amodal_px == len(rows) > 500
    assert fact.occlusion == 0.0 and fact.truncation == 0.0 and fact.mask_components == 1
    assert fact.visible_box_px == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert fact.amodal_box_px == fact.visible_box_px


def test_amodal_pixels_are_those_of_the_object_alone():
    behind, front = cube(3, -1.0), cube(4, 1.0, 0.5)
    _, (hidden, _) = facts_of(scene([behind, front]))
    _, (alone,) = facts_of(scene([behind]))
    assert 0 < hidden.visible_px < hidden.amodal_px == alone.visible_px
    assert np.isclose(hidden.occlusion, 1 - hidden.visible_px / alone.visible_px)
    assert hidden.amodal_box_px == alone.visible_box_px


def test_what_is_seen_through_counts_as_hidden_where_only_opaque_surfaces_are_seen():
    """A glass cube before the floor and before another cube: amodal is its whole silhouette, visible is nothing."""
    glass, other = cube(3, 1.0, 0.3), cube(4, -1.0, -0.3)
    spec = scene([glass, other])
    _, (alone,) = facts_of(scene([glass]))
    behind, (_, whole) = facts_of(scene([other]))[0], facts_of(spec)[1]
    clear, unhidden = object_facts(spec, 0, behind, SceneCaster.of(spec, LIBRARY), through_glass=True)
    assert (clear.visible_px, clear.amodal_px, clear.occlusion) == (0, alone.visible_px, 1.0)
    assert clear.amodal_box_px == alone.visible_box_px
    assert unhidden.occlusion == 0.0 and unhidden.visible_px > whole.visible_px


def test_a_bar_in_front_cuts_a_mask_in_two_components():
    post = PlacedObject(4, "post", 1.0, 0.0, (1.5, 0.0, 0.0))
    _, (fact, _) = facts_of(scene([cube(3, 0.0, scale=0.7, z=-0.15), post]))
    assert fact.mask_components == 2


def test_pixels_that_meet_at_a_corner_are_one_component():
    spec = scene([cube(3, 0.0)])
    ids = np.zeros((120, 160), np.uint16)
    ids[10, 10] = ids[11, 11] = ids[20, 20] = 3
    assert facts_of(spec, ids)[1][0].mask_components == 2


@pytest.mark.parametrize(("fov_deg", "inside"), [(60.0, 1.0), (2 * np.degrees(np.arctan(0.05)), 0.1 / (1 / 4.5))])
def test_truncation_is_the_share_of_the_silhouette_outside_of_the_frame(fov_deg, inside):
    """A cube of side 1 whose face is 4.5 m away, seen face on: the frame shows 0.1 of a width of 1/4.5, squared."""
    _, (fact,) = facts_of(scene([cube(3, 0.0)], eye=(5.0, 0.0, 0.0), fov_deg=fov_deg, size=(128, 128)))
    assert np.isclose(fact.truncation, 1.0 - inside**2, atol=0.01)


def test_half_an_object_beside_the_frame_is_truncated_by_half():
    half_width = 5.0 * np.tan(np.radians(30.0))
    flat = PlacedObject(3, "ball", 0.5, 0.0, (0.0, half_width, 0.0))
    _, (fact,) = facts_of(scene([flat], eye=(5.0, 0.0, 0.0), size=(256, 256)))
    assert abs(fact.truncation - 0.5) < 0.03


def test_an_object_behind_the_camera_is_truncated_wholly_and_hidden_by_nothing():
    _, (fact,) = facts_of(scene([cube(3, 9.0)]))
    assert (fact.visible_px, fact.amodal_px, fact.occlusion, fact.truncation) == (0, 0, 0.0, 1.0)
    assert fact.visible_box_px == fact.amodal_box_px == (0, 0, 0, 0)


def test_a_map_of_another_size_is_refused():
    spec = scene([cube(3, 0.0)])
    with pytest.raises(ValueError, match="id map"):
        object_facts(spec, 0, np.zeros((5, 5), np.uint16), SceneCaster.of(spec, LIBRARY))


@given(
    places=st.lists(
        st.tuples(
            st.sampled_from(["ball", "table", "tall", "box"]), st.floats(-2, 4.5), st.floats(-2, 2), st.floats(0.5, 2.0)
        ),
        min_size=1,
        max_size=5,
    ),
    noise=st.integers(0, 5),
)
@settings(max_examples=40, deadline=None)
def test_facts_hold_together_whatever_the_scene(places, noise):
    """Also where the rendered map disagrees with the rays, and when objects reach behind the camera."""
    objects = [PlacedObject(3 + i, uid, s, 0.3, (x, y, s / 2 - 0.5)) for i, (uid, x, y, s) in enumerate(places)]
    spec = scene(objects, size=(48, 36))
    ids = SceneCaster.of(spec, LIBRARY).view(spec.views[0])[0]
    ids[np.random.default_rng(noise).random(ids.shape) < 0.02] = 3
    for fact in facts_of(spec, ids)[1]:
        assert 0 <= fact.visible_px <= fact.amodal_px <= ids.size
        assert fact.visible_px == (ids == fact.instance_id).sum()
        assert 0.0 <= fact.occlusion <= 1.0 and 0.0 <= fact.truncation <= 1.0
        assert (fact.mask_components > 0) == (fact.visible_px > 0)
        v, a = fact.visible_box_px, fact.amodal_box_px
        if fact.visible_px:
            assert a[0] <= v[0] < v[2] <= a[2] <= 48 and a[1] <= v[1] < v[3] <= a[3] <= 36
            assert (v[2] - v[0]) * (v[3] - v[1]) >= fact.visible_px


def test_facts_are_plain_numbers():
    _, (fact,) = facts_of(scene([cube(3, 0.0)]))
    for value in dataclasses.astuple(fact):
        assert type(value) in (int, float, tuple)
        assert not isinstance(value, tuple) or all(type(x) is int for x in value)
