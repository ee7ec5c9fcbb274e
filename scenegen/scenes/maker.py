"""Makes one scene: samples it, renders it, computes the facts of each view, checks the rows against the contract."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from scenegen.config import DatasetConfig
from scenegen.contract.records import OPAQUE, Scene, SceneObject, View, ViewImages
from scenegen.contract.schema import decode_facts, decode_view, encode_view
from scenegen.contract.validate import scene_problems, view_problems
from scenegen.errors import AssetError, SceneError
from scenegen.layout.facts import object_facts
from scenegen.layout.sampler import sample_scene
from scenegen.layout.shapes import Library
from scenegen.layout.spec import PlacedObject, SceneSpec
from scenegen.layout.visibility import SceneCaster
from scenegen.scenes.renderer import Renderer

MAX_EXCLUDED_ASSETS = 10


@dataclass(frozen=True, slots=True)
class SceneTools:
    """What a process needs to make scenes: the assets that scenes may use, and a renderer."""

    library: Library
    hdri_uids: Sequence[str]
    material_uids: Sequence[str]
    renderer: Renderer


@dataclass(frozen=True, slots=True)
class MadeScene:
    """A scene with its encoded views, one row each. quarantined: (asset uid, reason) of assets that cannot be used."""

    scene: Scene
    views: tuple[pa.RecordBatch, ...]
    quarantined: tuple[tuple[str, str], ...]


def make_scene(tools: SceneTools, config: DatasetConfig, scene_index: int) -> MadeScene:
    """Sample and render a scene; if an asset fails, the scene is sampled again from the same random streams without it.

    Which assets are left out depends on this scene alone, never on other scenes, so that a scene is the same whichever
    process makes it. Raises SceneError when the scene cannot be made.
    """
    excluded: dict[str, str] = {}
    while len(excluded) <= MAX_EXCLUDED_ASSETS:
        try:
            spec = sample_scene(
                config, tools.library, tools.hdri_uids, tools.material_uids, scene_index, frozenset(excluded)
            )
            scene = describe_scene(spec, tools)
            views = tuple(_views(spec, scene, tools, config.render.transparent))
        except AssetError as error:
            if error.uid in excluded:
                raise SceneError(f"asset {error.uid} was left out and is used again: {error.reason}") from error
            excluded[error.uid] = error.reason
            continue
        return MadeScene(scene, views, (*spec.stats.assets_skipped, *excluded.items()))
    listed = "; ".join(f"{uid}: {reason}" for uid, reason in excluded.items())
    raise SceneError(f"{len(excluded)} assets of this scene cannot be used: {listed}")


def describe_scene(spec: SceneSpec, tools: SceneTools) -> Scene:
    """The row of the scenes table. Raises SceneError if it breaks the contract."""
    objects = tuple(_scene_object(each, tools.library) for each in spec.objects)
    records = [tools.library.records[each.asset_uid] for each in spec.objects]
    scene = Scene(
        scene_index=spec.scene_index,
        objects=objects,
        objects_requested=spec.stats.objects_requested,
        placement_attempts=spec.stats.placement_attempts,
        views_rejected=spec.stats.views_rejected,
        num_walls=len(spec.room.walls),
        hdri_uid=spec.light.hdri_uid,
        licences=tuple(sorted({record.licence for record in records})),
        commercial_use=all(record.commercial_use for record in records),
        spec_json=spec.to_json(),
        spec_sha256=spec.sha256,
    )
    for problem in scene_problems(scene):
        raise SceneError(f"the scene breaks the contract: {problem}")
    return scene


def _scene_object(placed: PlacedObject, library: Library) -> SceneObject:
    record = library.records[placed.asset_uid]
    return SceneObject(placed.instance_id, placed.asset_uid, record.sha256, record.licence, placed.T_world_obj)


def _views(spec: SceneSpec, scene: Scene, tools: SceneTools, transparent: str) -> Iterator[pa.RecordBatch]:
    """The encoded rows. Each is decoded again and checked against the contract.

    That happens in a thread while the next view is rendered, so that a GPU does not wait for it: Blender renders
    without the interpreter's lock. Raises AssetError like the renderer, SceneError for a row that breaks the contract.
    """
    caster = SceneCaster.of(spec, tools.library)

    def row_of(index: int, images: ViewImages) -> pa.RecordBatch:
        camera = spec.views[index].camera
        facts = object_facts(spec, index, images.instance_id, caster, through_glass=transparent == OPAQUE)
        row = encode_view(spec.scene_index, index, camera.K_px, camera.matrix_world, images, facts)
        for problem in view_problems(_decoded(row), scene):
            raise SceneError(f"view {index} breaks the contract: {problem}")
        return row

    count = 0
    with ThreadPoolExecutor(1) as beside:
        before: Future[pa.RecordBatch] | None = None
        for index, images in enumerate(tools.renderer.render(spec)):
            if before:
                yield before.result()  # one at a time: images of many views would fill the memory
            before = beside.submit(row_of, index, images)
            count += 1
        if before:
            yield before.result()
    if count != len(spec.views):
        raise SceneError(f"the renderer gave {count} views of {len(spec.views)}")


def _decoded(row: pa.RecordBatch) -> View:
    (values,) = row.to_pylist()
    return decode_view(values, [decode_facts(facts) for facts in values["objects"]])
