import dataclasses

import numpy as np
import pytest

from scenegen.config import LightConfig, RoomConfig
from scenegen.errors import UsageError
from scenegen.layout.light import blackbody_rgb, lamp_probability, sample_light
from scenegen.layout.room import INDOOR_FLOORS, OUTDOOR_FLOORS, WALLS, sample_room
from scenegen.layout.spec import WALL_SIDES

ROOM = RoomConfig()


def rooms(count: int, config: RoomConfig = ROOM, uids: tuple[str, ...] = (), procedural: bool = True):
    return [sample_room(config, uids, np.random.default_rng(i), procedural) for i in range(count)]


def test_walls_are_as_many_as_the_weights_say_and_every_side_gets_its_share():
    sample = rooms(4000)
    counts = np.bincount([len(room.walls) for room in sample], minlength=5) / len(sample)
    assert np.allclose(counts, ROOM.wall_count_weights, atol=0.025)
    sides = [wall.side for room in sample for wall in room.walls]
    shares = np.array([sides.count(side) for side in WALL_SIDES]) / len(sides)
    assert np.allclose(shares, 0.25, atol=0.02)


def test_a_side_has_one_wall_at_most():
    assert all(len({wall.side for wall in room.walls}) == len(room.walls) for room in rooms(200))


def test_rooms_without_walls_stand_on_outdoor_ground():
    for room in rooms(300):
        assert room.floor.family in (INDOOR_FLOORS if room.walls else OUTDOOR_FLOORS)
        assert all(wall.material.family in WALLS for wall in room.walls)


def test_sixteen_families_and_not_one_unused():
    families = {*INDOOR_FLOORS, *OUTDOOR_FLOORS, *WALLS}
    assert len(families) >= 15 and "external" not in families


def test_external_materials_are_used_beside_the_built_in_ones_and_alone():
    both = [room.floor for room in rooms(200, uids=("a", "b"))]
    assert 0.35 < np.mean([floor.family == "external" for floor in both]) < 0.65
    alone = [room.floor for room in rooms(50, uids=("a", "b"), procedural=False)]
    assert {(floor.family, floor.uid) for floor in alone} == {("external", "a"), ("external", "b")}


def test_no_material_at_all_is_a_usage_error():
    with pytest.raises(UsageError, match=r"assets\.materials"):
        rooms(1, procedural=False)


def test_lamps_are_in_the_share_of_scenes_that_the_configuration_says_and_more_often_indoors():
    config = LightConfig()
    weights = np.array(ROOM.wall_count_weights)
    chances = [lamp_probability(config, ROOM, n) for n in range(5)]
    assert np.isclose(np.dot(weights, chances), config.lamp_probability)
    assert chances == sorted(chances)


def test_lamps_hang_above_the_tallest_object_and_inside_the_room():
    config = dataclasses.replace(LightConfig(), lamp_probability=1.0)
    for i, room in enumerate(rooms(100)):
        light = sample_light(config, ROOM, room, ["sky"], np.random.default_rng(i))
        for lamp in light.lamps:
            assert max(map(abs, lamp.position_m[:2])) + lamp.size_m / 2 < room.floor_size_m / 2
            assert 2.0 < lamp.position_m[2] - room.floor_z_m < room.wall_height_m
            assert max(lamp.color_rgb) == 1.0 and min(lamp.color_rgb) > 0.0


def test_exposure_is_log_uniform_and_stays_in_its_range():
    config = LightConfig()
    strengths = [
        sample_light(config, ROOM, room, ["sky"], np.random.default_rng(i)).strength
        for i, room in enumerate(rooms(500))
    ]
    assert config.strength[0] <= min(strengths) and max(strengths) <= config.strength[1]
    assert np.isclose(np.median(strengths), np.sqrt(np.prod(config.strength)), rtol=0.06)


def test_no_environment_map_is_a_usage_error():
    with pytest.raises(UsageError, match=r"assets\.hdris"):
        sample_light(LightConfig(), ROOM, rooms(1)[0], [], np.random.default_rng(0))


def test_daylight_is_white_and_candlelight_is_orange():
    assert np.allclose(blackbody_rgb(6504.0), 1.0, atol=0.06)
    red, green, blue = blackbody_rgb(2000.0)
    assert red == 1.0 and red > green > blue
