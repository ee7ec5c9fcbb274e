"""One scene, rebuilt alone from its index: described in a few lines, saved for Blender, or rendered to pictures."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from scenegen.assets.hdris import HdriLibrary
from scenegen.assets.library import AssetLibrary
from scenegen.assets.materials import MaterialLibrary
from scenegen.config import DatasetConfig
from scenegen.layout.sampler import sample_scene
from scenegen.layout.spec import PlacedObject, SceneSpec
from scenegen.scenes.factory import open_library


def rebuild(config: DatasetConfig, scene_index: int) -> SceneSpec:
    """The scene as its dataset has it, unless assets were left out there because they could not be used.

    Raises UsageError for unusable stores, SceneError when the scene cannot be sampled.
    """
    hdris, materials = HdriLibrary.open(config.assets), MaterialLibrary.open(config.assets)
    return sample_scene(config, open_library(config), hdris.uids, materials.uids, scene_index)


def describe(spec: SceneSpec) -> str:
    """The scene in a few readable lines."""
    walls = ", ".join(f"{wall.side} {wall.material.family}" for wall in spec.room.walls) or "none (outdoor)"
    lines = [
        f"scene {spec.scene_index} of seed {spec.dataset_seed}, spec {spec.sha256[:12]}",
        f"floor    {spec.room.floor.family}",
        f"walls    {walls}",
        f"light    {spec.light.hdri_uid} at strength {spec.light.strength:.2f}, {len(spec.light.lamps)} lamps",
        f"objects  {len(spec.objects)} of {spec.stats.objects_requested} placed in "
        f"{spec.stats.placement_attempts} attempts",
    ]
    lines += [_describe_object(placed) for placed in spec.objects]
    rejected = ", ".join(f"{count} x {reason}" for reason, count in spec.stats.views_rejected) or "none"
    return "\n".join([*lines, f"views    {len(spec.views)}; candidates rejected: {rejected}"])


def draw(
    config: DatasetConfig, spec: SceneSpec, device: str, blend: Path | None, pictures: Path | None
) -> Iterator[Path]:
    """Draw the scene with Blender; yields each file as soon as it is written.

    blend: the .blend file to save it to, everything packed. pictures: the folder that gets its views as PNG.
    Raises SceneGenError for a missing device, AssetError or SceneError if the scene cannot be drawn.
    """
    from scenegen.blender.renderer import BlenderRenderer

    library, hdris = AssetLibrary.open(config.assets), HdriLibrary.open(config.assets)
    renderer = BlenderRenderer(library, hdris, MaterialLibrary.open(config.assets), config, device)
    if blend:
        blend.parent.mkdir(parents=True, exist_ok=True)
        renderer.save_blend(spec, blend)
        yield blend
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
        for number, images in enumerate(renderer.render(spec)):
            path = pictures / f"scene-{spec.scene_index:06d}-view-{number:02d}.png"
            Image.fromarray(images.rgb).save(path)
            yield path
    renderer.close()


def _describe_object(placed: PlacedObject) -> str:
    x, y, _ = placed.translation_m
    where = f"size {placed.scale:.2f} m, {np.degrees(placed.yaw_rad):3.0f} deg, at {x:+.2f} {y:+.2f}"
    return f"  {placed.instance_id:5d}  {placed.asset_uid:44s} {where}"
