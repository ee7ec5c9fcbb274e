import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from layout_shapes import MemoryLibrary, box, hood, solids, table

from scenegen.config import DatasetConfig, PlacementConfig
from scenegen.errors import SceneError, UsageError
from scenegen.layout.audit import audit_scene
from scenegen.layout.sampler import sample_scene
from scenegen.layout.spec import SceneSpec
from scenegen.layout.visibility import SceneCaster

HDRIS = ("studio", "forest")


GOLDEN = {
    0: "8d041f149c19a0ba4f464513e5b90b76f5856167abe385aef529bd45facb3079",
    1: "4396b8de042bb00aec3026b9e17da85475c47e59c00c6bbb82c44d2e864d7b25",
    17: "bc5271075d4417718246a633cf253cc507457f53250f82818ab6e2583e01bb98",
}
"""sha256 of scenes of the small library in conftest. A change means that every published seed gives other scenes."""
WITHOUT_GAP = {
    0: "8e76acc3143d7a2f1248bb68a77cab3ed4876780e948ee7ad25a24dbd3c7d016",
    1: "be53c3183b4ceef6c10f4cdd2b52528326b2976d7ab33de0b25f00def7385a89",
    17: "5964ba353b93d8403990ac9e90fb1c64b7d89b692351b4b0e346ec1de6651bed",
}
"""The same of datasets that were begun before objects had a gap below them."""


def scenes(config, library, indices, **kwargs):
    return {i: sample_scene(config, library, HDRIS, (), i, **kwargs) for i in indices}


def test_a_scene_is_the_same_in_whatever_order_scenes_are_made(config, library):
    forwards, backwards = scenes(config, library, (0, 3, 17)), scenes(config, library, (17, 3, 0))
    assert {i: s.to_json() for i, s in forwards.items()} == {i: s.to_json() for i, s in backwards.items()}


@pytest.mark.parametrize("index", GOLDEN)
def test_a_scene_is_the_same_as_ever(config, library, index):
    assert scenes(config, library, [index])[index].sha256 == GOLDEN[index]


@pytest.mark.parametrize("index", WITHOUT_GAP)
def test_a_dataset_from_before_the_contact_gap_goes_on_as_it_began(config, library, index):
    """Its config.json does not name the gap."""
    stored = config.to_dict()
    del stored["placement"]["contact_gap_m"]
    resumed = DatasetConfig.from_dict(stored)
    assert scenes(resumed, library, [index])[index].sha256 == WITHOUT_GAP[index]
    assert resumed.digest == "b3e1b1f787e3d57847181e174486b6e99f24ad76a0cd4f81118e86be229d34bd"
    assert config.digest != resumed.digest


def test_a_scene_does_not_depend_on_how_many_there_are(config, library):
    more = dataclasses.replace(config, num_scenes=110_000)
    assert sample_scene(more, library, HDRIS, (), 5) == sample_scene(config, library, HDRIS, (), 5)


def test_a_scene_is_the_same_in_another_process(config, library):
    program = (
        "from layout_shapes import *; from scenegen.config import *; from scenegen.layout.sampler import sample_scene;"
        "c = DatasetConfig(num_scenes=10, camera=CameraConfig(num_views=3, resolution_px=128));"
        "print(sample_scene(c, MemoryLibrary(solids()), ('studio', 'forest'), (), 2).sha256)"
    )
    path = f"{Path(__file__).parent}:{Path(__file__).parents[2]}"
    result = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": path, "PYTHONHASHSEED": "7"}, capture_output=True, text=True
    )
    assert result.stdout.strip() == scenes(config, library, [2])[2].sha256, result.stderr


def test_scenes_and_seeds_differ(config, library):
    made = [
        *scenes(config, library, range(3)).values(),
        *scenes(dataclasses.replace(config, seed=1), library, [0]).values(),
    ]
    assert len({spec.sha256 for spec in made}) == 4


def test_a_spec_survives_json(config, library):
    spec = scenes(config, library, [1])[1]
    again = SceneSpec.from_json(spec.to_json())
    assert again == spec and again.to_json() == spec.to_json()


def test_objects_stand_a_gap_above_the_floor_inside_the_area_with_ids_from_three(config, library):
    for spec in scenes(config, library, range(3)).values():
        assert [o.instance_id for o in spec.objects] == list(range(3, 3 + len(spec.objects)))
        caster = SceneCaster.of(spec, library)
        for placed in spec.objects:
            vertices = caster.world_vertices(placed)
            gap_m = vertices[:, 2].min() - config.room.floor_z_m
            assert np.isclose(gap_m, config.placement.contact_gap_m, atol=1e-6)
            assert np.abs(vertices[:, :2]).max() <= config.placement.area_m / 2 + 1e-6
            low, high = config.placement.scale
            assert low <= placed.scale <= high


def test_no_face_lies_in_the_plane_of_a_wall_even_where_objects_fill_the_room(config):
    """The area may be as large as the floor, and an object as large as the area."""
    library = MemoryLibrary({"cube": [box((1, 1, 1))]})
    room = dataclasses.replace(config.room, floor_size_m=2.0, wall_count_weights=(0, 0, 0, 0, 1))
    full = PlacementConfig(num_objects=(1, 1), area_m=2.0, scale=(1.2, 2.0))
    spans = []
    for index in range(10):
        spec = sample_scene(dataclasses.replace(config, room=room, placement=full), library, HDRIS, (), index)
        for placed in spec.objects:
            span_m = np.abs(SceneCaster.of(spec, library).world_vertices(placed)[:, :2]).max()
            assert span_m <= 1.0 - full.contact_gap_m + 1e-6
            spans.append(span_m)
    assert max(spans) > 0.9


def test_no_sampled_scene_has_objects_in_one_another(config, library):
    for redraw in (True, False):
        placement = dataclasses.replace(config.placement, redraw_scale=redraw)
        for spec in scenes(dataclasses.replace(config, placement=placement), library, range(5)).values():
            assert audit_scene(spec, library) == ()


def test_things_stand_under_tables_but_never_out_of_sight_under_a_hood(config):
    """The collision engine would allow both: neither touches anything."""

    def hosts(kind) -> int:
        """How many cubes are within the box of a host, in 12 crowded scenes."""
        library = MemoryLibrary({"host": kind, "cube": [box((1, 1, 1))]})
        few = dataclasses.replace(config, placement=PlacementConfig(num_objects=(12, 12), area_m=2.7, scale=(0.2, 1.9)))
        found = 0
        for index in range(12):
            spec = sample_scene(few, library, HDRIS, (), index)
            assert audit_scene(spec, library) == ()
            caster = SceneCaster.of(spec, library)
            for host in (o for o in spec.objects if o.asset_uid == "host"):
                for cube in (o for o in spec.objects if o.asset_uid == "cube"):
                    vertices = caster.world_vertices(cube) @ np.linalg.inv(host.T_world_obj)[:3, :3].T
                    vertices += np.linalg.inv(host.T_world_obj)[:3, 3]
                    found += bool((np.abs(vertices) <= 0.501).all())
        return found

    assert hosts(table()) > 0
    assert hosts(hood()) == 0


def test_a_kept_scale_is_uniform_and_fewer_objects_fit(config, library):
    """Redrawing favours small objects; keeping does so only by what cannot be placed."""
    keep = dataclasses.replace(config, placement=dataclasses.replace(config.placement, redraw_scale=False))
    redrawn, kept = scenes(config, library, range(6)).values(), scenes(keep, library, range(6)).values()
    assert sum(len(s.objects) for s in kept) < sum(len(s.objects) for s in redrawn)
    assert np.mean([o.scale for s in kept for o in s.objects]) > np.mean([o.scale for s in redrawn for o in s.objects])


def test_an_unusable_asset_is_passed_over_and_reported(config):
    library = MemoryLibrary(solids(), broken=["bad"])
    spec = scenes(config, library, [0])[0]
    assert spec.stats.assets_skipped == (("bad", "truncated file"),)
    assert spec.stats.objects_requested == 20 and "bad" not in {o.asset_uid for o in spec.objects}


def test_leaving_an_asset_out_keeps_room_light_and_the_other_assets(config, library):
    whole, without = (
        scenes(config, library, [0], exclude=exclude)[0] for exclude in (frozenset[str](), frozenset({"table"}))
    )
    assert (whole.room, whole.light) == (without.room, without.light)
    assert "table" not in {o.asset_uid for o in without.objects}
    first = next(o for o in whole.objects if o.asset_uid != "table")
    assert first.asset_uid == without.objects[0].asset_uid


def test_assets_repeat_only_when_there_are_too_few(config, library):
    few = dataclasses.replace(config, placement=PlacementConfig(num_objects=(6, 6)))
    uids = [o.asset_uid for o in scenes(few, library, [0])[0].objects]
    assert len(set(uids)) == len(uids)


def test_no_usable_asset_is_the_failure_of_the_scene(config):
    with pytest.raises(SceneError, match="no asset"):
        scenes(config, MemoryLibrary({}, broken=["bad"]), [0])
    with pytest.raises(SceneError, match="empty"):
        scenes(config, MemoryLibrary({}), [0])


def test_no_environment_map_is_a_usage_error(config, library):
    with pytest.raises(UsageError):
        sample_scene(config, library, (), (), 0)


def test_most_views_show_enough_objects(config, library):
    for spec in scenes(config, library, range(3)).values():
        caster = SceneCaster.of(spec, library)
        for view in spec.views:
            ids, _ = caster.view(view)
            shares = np.bincount(ids.ravel())[3:] / ids.size
            assert (shares >= config.visibility.usable_share).sum() >= config.visibility.min_usable_objects
