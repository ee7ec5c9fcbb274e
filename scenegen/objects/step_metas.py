"""What the files of each step must say about themselves: the metadata by which a later run recognises them.

The settings of a file name everything that decides its rows, including the settings of the tables it was made from.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import scenegen
from scenegen.contract import objects
from scenegen.contract.objects import StepMeta
from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError
from scenegen.objects.options import ObjectOptions
from scenegen.objects.steps import Toolkit
from scenegen.objects.wanted_assets import WantedAssets
from scenegen.scenes.factory import shard_meta
from scenegen.shards.objects import AssetCut, ObjectShard, read_meta

# Settings of the scenes' renders that clean views do not use: they have options of their own, or no such thing.
_NOT_OF_CLEAN_VIEWS = ("samples", "denoise", "denoising_prefilter", "albedo", "transparent")


def table_of(step: str, options: ObjectOptions) -> str:
    """The name of the table that a step fills."""
    return {
        "geometry": objects.OBJECTS,
        "views": objects.VIEWS,
        "features": objects.FEATURES_PREFIX + options.extractor,
        "latents": objects.LATENTS_PREFIX + options.latents_name,
    }[step]


class StepMetas:
    """Gives the metadata of each step's files; it depends on the files that the earlier steps have left.

    shards: those that this process makes.
    """

    def __init__(
        self,
        root: Root,
        cut: AssetCut,
        shards: Sequence[ObjectShard],
        assets: WantedAssets,
        options: ObjectOptions,
        tools: Toolkit,
    ) -> None:
        self._root, self._cut, self._shards, self._assets = root, cut, shards, assets
        self._options, self._tools = options, tools

    def meta(self, step: str) -> StepMeta:
        """The metadata of a step's files, which reads that of the tables it is made from.

        Raises SceneGenError if such a table is missing, or was made with different settings from shard to shard.
        """
        if step != "geometry":
            self._of_table(objects.OBJECTS, "geometry")
        settings = {
            "geometry": lambda: {"grid": objects.GRID},
            "views": self._views,
            "features": self._features,
            "latents": self._latents,
        }[step]()
        images = shard_meta(self._assets.config)
        shown = (images.renderer, images.colour_transform) if step == "views" else ("", "")
        return StepMeta(table_of(step, self._options), self._cut.digest, scenegen.__version__, settings, *shown)

    def _views(self) -> dict[str, Any]:
        options = self._options
        names = ("condition_views", "condition_px", "crop_px", "feature_views", "feature_px", "samples", "object_seed")
        render = dataclasses.asdict(self._assets.config.render)
        kept = {name: value for name, value in render.items() if name not in _NOT_OF_CLEAN_VIEWS}
        return {name: getattr(options, name) for name in names} | {"render": kept}

    def _features(self) -> dict[str, Any]:
        return {
            "extractor": self._tools.extractor.name,
            "weights": self._weights_sha256(),
            "visibility": self._options.visibility,
            "views": self._of_table(objects.VIEWS, "views"),
        }

    def _latents(self) -> dict[str, Any]:
        settings = {**self._tools.encoder_settings}
        settings |= {"rotations": self._options.rotations, "object_seed": self._options.object_seed}
        if self._tools.encoders.slat:
            features = settings["features"] = self._of_table(table_of("features", self._options), "features")
            if features["weights"] != self._weights_sha256():
                raise SceneGenError(
                    f"the features that are there were made with other weights of {self._tools.extractor.name} than "
                    "those given, and turned assets would not fit them; give the same, or make both with: "
                    f"scenegen objects --data {self._root.location} --steps features,latents"
                )
        return settings

    def _weights_sha256(self) -> str:
        return self._tools.weights.sha256() if self._tools.weights else ""

    def _of_table(self, table: str, step: str) -> dict[str, Any]:
        """The settings of another table, which must be equal in all of this process's files."""
        found: list[dict[str, Any]] = []
        for shard in self._shards:
            name = shard.file(table)
            try:
                meta = read_meta(self._root, name)
            except FileNotFoundError:
                raise SceneGenError(f"{name} is missing; make it first: {self._again(step)}") from None
            if meta.assets_digest != self._cut.digest or (found and found[0] != meta.settings):
                raise SceneGenError(
                    f"{name} was made with other settings than the rest; make it again: {self._again(step)}"
                )
            found.append(dict(meta.settings))
        return found[0]

    def _again(self, step: str) -> str:
        return f"scenegen objects --data {self._root.location} --steps {step}"
