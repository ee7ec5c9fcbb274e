"""`scenegen scene`: one scene, rebuilt alone from its index, to look at or to open in Blender."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from scenegen.commands.options import DEFAULT_PRESET, open_root
from scenegen.config import DatasetConfig, preset
from scenegen.contract.command.help_page import MAIN, HelpGroups
from scenegen.errors import EXIT_DONE, UsageError


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Rebuild one scene: print what is in it, save or render it.

    It is sampled from its index alone, and can be opened in Blender.
    """

    index: int
    """The index of the scene, from 0."""
    data: str | None = None
    """The dataset whose stored config is used. Default: that of --preset and --seed."""
    preset: str = DEFAULT_PRESET
    """arsg (30 views of 1024 px) or preview (2 views of 256 px)."""
    seed: int = 0
    """The seed of the dataset."""
    save_blend: Path | None = None
    """A .blend file that gets the scene, with everything packed into it."""
    save_images: Path | None = None
    """A folder that gets its views, rendered as PNG."""
    save_json: Path | None = None
    """A file that gets the whole description of the scene."""
    device: Literal["auto", "optix", "cuda", "cpu"] = "auto"
    """Where to render; a device that is asked for and missing is an error."""

    HELP_GROUPS: ClassVar[HelpGroups] = {
        MAIN: "index data save-blend save-images save-json",
        "without a dataset": "preset seed",
        "how it is computed": "device",
    }

    def run(self) -> int:
        from scenegen.scenes.single_scene import describe, draw, rebuild

        if self.index < 0:
            raise UsageError(f"--index is {self.index}; scenes are numbered from 0")
        config = self._config()
        spec = rebuild(config, self.index)
        sys.stdout.write(describe(spec) + "\n")
        if self.save_json:
            self.save_json.parent.mkdir(parents=True, exist_ok=True)
            self.save_json.write_text(spec.to_json() + "\n")
        if self.save_blend or self.save_images:
            for path in draw(config, spec, self.device, self.save_blend, self.save_images):
                sys.stdout.write(f"{path}\n")
        return EXIT_DONE

    def _config(self) -> DatasetConfig:
        """Raises UsageError for a scene that the dataset does not have."""
        from scenegen.shards.config_file import require_config

        if self.data is None:
            return replace(preset(self.preset, self.index + 1), seed=self.seed)
        config = require_config(open_root(self.data)).config
        if self.index >= config.num_scenes:
            raise UsageError(f"--index is {self.index}; {self.data} has scenes 0 to {config.num_scenes - 1}")
        return config
