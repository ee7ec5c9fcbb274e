import numpy as np
import pytest
from layout_shapes import MemoryLibrary, box, camera, room

from scenegen.layout.spec import PlacedObject, ViewSpec
from scenegen.layout.visibility import SceneCaster, unseen_walls


@pytest.fixture(scope="module")
def boxes() -> MemoryLibrary:
    return MemoryLibrary({"box": [box((1.0, 0.6, 0.4))], "cube": [box((1, 1, 1))]})


def slab_depth(view: ViewSpec, low, high) -> np.ndarray:
    """(H, W) planar depth of a box by the slab test, infinite where it is missed; the truth in closed form."""
    K, T = view.camera.K_px, view.camera.matrix_world
    x, y = np.meshgrid(np.arange(view.camera.size_px[0]) + 0.5, np.arange(view.camera.size_px[1]) + 0.5)
    rays = np.stack([(x - K[0, 2]) / K[0, 0], (y - K[1, 2]) / K[1, 1], np.ones_like(x)], axis=-1) @ T[:3, :3].T
    with np.errstate(divide="ignore"):
        t = (np.stack([low, high]) - T[:3, 3])[:, None, None, :] / rays
    near, far = t.min(axis=0).max(axis=-1), t.max(axis=0).min(axis=-1)
    return np.where((near <= far) & (near > 0), near, np.inf)


def test_ids_and_depth_are_those_of_the_closed_form(boxes):
    objects = (
        PlacedObject(3, "cube", 1.0, 0.0, (0.0, 0.0, 0.0)),
        PlacedObject(7, "box", 1.5, np.pi / 2, (1.5, 0.2, -0.2)),
    )
    view = ViewSpec(camera((3.0, -2.5, 1.6)), ("x+", "y-"))
    scene = room("x+", "y-", "x-")
    surfaces = {
        3: slab_depth(view, (-0.5, -0.5, -0.5), (0.5, 0.5, 0.5)),
        7: slab_depth(view, (1.5 - 0.45, 0.2 - 0.75, -0.5), (1.5 + 0.45, 0.2 + 0.75, 0.1)),
        1: slab_depth(view, (-3.75, -3.75, -0.5), (3.75, 3.75, -0.5)),
        2: slab_depth(view, (-3.75, -3.75, -0.5), (-3.75, 3.75, 7.0)),
    }
    expected = np.min(list(surfaces.values()), axis=0)
    names = np.array(list(surfaces))[np.argmin(list(surfaces.values()), axis=0)]
    names[np.isinf(expected)] = 0
    ids, depth = SceneCaster(scene, objects, boxes).view(view)
    agree = ids == names
    assert agree.mean() > 0.999, "edges may fall on either side"
    assert set(np.unique(ids)) == {0, 1, 2, 3, 7}
    solid = agree & (ids > 0)
    assert np.abs(depth - expected)[solid].max() < 1e-4
    assert np.isnan(depth[ids == 0]).all() and not np.isnan(depth[ids > 0]).any()


def test_a_coarse_grid_sees_the_same_frame(boxes):
    caster = SceneCaster(room("x-"), (PlacedObject(3, "cube", 1.0, 0.3, (0, 0, 0)),), boxes)
    view = ViewSpec(camera((3, 1, 1), size=(512, 512)))
    fine, coarse = caster.view(view)[0], caster.view(view, (64, 64))[0]
    for value in (1, 2, 3):
        assert abs((fine == value).mean() - (coarse == value).mean()) < 0.01


def test_a_wall_between_camera_and_scene_is_not_seen(boxes):
    caster = SceneCaster(room("x+", "x-"), (PlacedObject(3, "cube", 1.0, 0.0, (0, 0, 0)),), boxes)
    outside = camera((6.0, 0.0, 1.0))
    blocked = caster.view(ViewSpec(outside))[0]
    through = caster.view(ViewSpec(outside, unseen_walls(caster.room, (6.0, 0.0, 1.0), 0.5)))[0]
    assert not (blocked == 3).any() and (through == 3).any()


@pytest.mark.parametrize(
    ("position", "unseen"),
    [((0, 0, 0), ()), ((3.2, 0, 0), ()), ((3.3, 0, 0), ("x+",)), ((-9, 3.3, 2), ("x-", "y+")), ((0, -4, 0), ("y-",))],
)
def test_walls_are_unseen_from_beyond_and_from_close_by(position, unseen):
    assert unseen_walls(room("x+", "x-", "y+", "y-"), position, 0.5) == unseen


def test_an_object_alone_is_seen_through_those_in_front_of_it(boxes):
    behind, front = (PlacedObject(3, "cube", 1.0, 0.0, (-1, 0, 0)), PlacedObject(4, "cube", 1.0, 0.0, (1, 0, 0)))
    caster = SceneCaster(room(), (behind, front), boxes)
    eye = camera((5, 0, 0.2))
    middle = np.array([[80.0, 60.0]])
    assert caster.cast(ViewSpec(eye), middle)[0][0] == 4
    assert caster.hits_alone(3, eye, middle)[0] and caster.hits_alone(4, eye, middle)[0]


def test_a_scene_without_objects_has_a_floor(boxes):
    ids, _ = SceneCaster(room(), (), boxes).view(ViewSpec(camera((3, 0, 2))))
    assert set(np.unique(ids)) <= {0, 1} and (ids == 1).any()
