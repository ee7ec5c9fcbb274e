"""(configuration, scene index) -> SceneSpec: samples the whole scene before anything is rendered."""

from collections.abc import Sequence

from scenegen.config import DatasetConfig
from scenegen.layout.collision import CollisionWorld
from scenegen.layout.light import sample_light
from scenegen.layout.placement import place_objects
from scenegen.layout.randomness import Stage, rng_for
from scenegen.layout.room import sample_room
from scenegen.layout.shapes import Library
from scenegen.layout.spec import SamplingStats, SceneSpec
from scenegen.layout.views import choose_views
from scenegen.layout.visibility import SceneCaster


def sample_scene(
    config: DatasetConfig,
    library: Library,
    hdri_uids: Sequence[str],
    material_uids: Sequence[str],
    scene_index: int,
    exclude: frozenset[str] = frozenset(),
) -> SceneSpec:
    """Scene `scene_index` of a dataset: a pure function of its arguments and the prepared assets.

    hdri_uids: environment maps to choose from. material_uids: external materials, in addition to the procedural
    ones if the configuration has them. exclude: assets that rendering found unusable; they are left out, and the rest
    of the scene is drawn from the same streams.
    Assets that cannot be read are skipped and reported in `stats.assets_skipped`.
    Raises UsageError if there are no HDR maps or no materials, SceneError if there is no usable asset.
    """
    seed = config.seed
    room_rng = rng_for(seed, scene_index, Stage.ROOM)
    room = sample_room(config.room, material_uids, room_rng, procedural="procedural" in config.assets.materials)
    light = sample_light(config.light, config.room, room, hdri_uids, rng_for(seed, scene_index, Stage.LIGHT))
    with CollisionWorld(config.placement.clearance_m) as world:
        placement = place_objects(
            library,
            room,
            config.placement,
            world,
            rng_for(seed, scene_index, Stage.ASSETS),
            rng_for(seed, scene_index, Stage.PLACEMENT),
            exclude,
        )
        caster = SceneCaster(room, placement.objects, library)
        views, rejected = choose_views(
            config.camera,
            config.visibility,
            caster,
            world,
            config.room.wall_margin_m,
            rng_for(seed, scene_index, Stage.CAMERAS),
        )
    stats = SamplingStats(placement.requested, placement.attempts, rejected, placement.skipped)
    return SceneSpec(seed, scene_index, room, light, placement.objects, views, stats)
