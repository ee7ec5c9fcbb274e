"""`scenegen scene`: one scene, rebuilt alone from its index, to look at or to open in Blender."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from scenegen.commands.options import DEFAULT_PRESET, open_root
from scenegen.config import DatasetConfig, preset
from scenegen.errors import EXIT_DONE, UsageError
from scenegen.layout.spec import PlacedObject, SceneSpec


@dataclass(frozen=True, kw_only=True)
class SceneCommand:
    """Rebuild one scene from its index: print what is in it, save it for Blender, or render its views to pictures."""

    index: int
    """The scene."""
    data: str | None = None
    """The dataset whose stored config applies; without it, --preset and --seed do."""
    preset: str = DEFAULT_PRESET
    seed: int = 0
    save_blend: Path | None = None
    """Write the scene here as a .blend, everything packed."""
    save_images: Path | None = None
    """Render its views into this folder as PNG."""
    save_json: Path | None = None
    """Write the whole scene description here."""
    device: Literal["auto", "optix", "cuda", "cpu"] = "auto"

    def run(self) -> int:
        from scenegen.assets.hdris import HdriLibrary
        from scenegen.assets.materials import MaterialLibrary
        from scenegen.layout.sampler import sample_scene
        from scenegen.scenes.factory import open_library

        if self.index < 0:
            raise UsageError(f"--index is {self.index}; scenes are numbered from 0")
        config = self._config()
        hdris, materials = HdriLibrary.open(config.assets), MaterialLibrary.open(config.assets)
        spec = sample_scene(config, open_library(config), hdris.uids, materials.uids, self.index)
        sys.stdout.write(describe(spec) + "\n")
        if self.save_json:
            _write_text(self.save_json, spec.to_json() + "\n")
        if self.save_blend or self.save_images:
            self._draw(config, spec)
        return EXIT_DONE

    def _config(self) -> DatasetConfig:
        from scenegen.shards.config_file import require_config

        if self.data is None:
            return replace(preset(self.preset, self.index + 1), seed=self.seed)
        config = require_config(open_root(self.data)).config
        if self.index >= config.num_scenes:
            raise UsageError(f"--index is {self.index}; {self.data} has scenes 0 to {config.num_scenes - 1}")
        return config

    def _draw(self, config: DatasetConfig, spec: SceneSpec) -> None:
        from PIL import Image

        from scenegen.assets.hdris import HdriLibrary
        from scenegen.assets.library import AssetLibrary
        from scenegen.assets.materials import MaterialLibrary
        from scenegen.blender.renderer import BlenderRenderer

        library, hdris = AssetLibrary.open(config.assets), HdriLibrary.open(config.assets)
        renderer = BlenderRenderer(library, hdris, MaterialLibrary.open(config.assets), config, self.device)
        if self.save_blend:
            self.save_blend.parent.mkdir(parents=True, exist_ok=True)
            renderer.save_blend(spec, self.save_blend)
            sys.stdout.write(f"{self.save_blend}\n")
        if self.save_images:
            self.save_images.mkdir(parents=True, exist_ok=True)
            for number, images in enumerate(renderer.render(spec)):
                path = self.save_images / f"scene-{spec.scene_index:06d}-view-{number:02d}.png"
                Image.fromarray(images.rgb).save(path)
                sys.stdout.write(f"{path}\n")
        renderer.close()


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


def _describe_object(placed: PlacedObject) -> str:
    x, y, _ = placed.translation_m
    where = f"size {placed.scale:.2f} m, {np.degrees(placed.yaw_rad):3.0f} deg, at {x:+.2f} {y:+.2f}"
    return f"  {placed.instance_id:5d}  {placed.asset_uid:44s} {where}"


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
