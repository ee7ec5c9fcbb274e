"""The steps of `scenegen objects`: what each needs before it can begin, and what its files say of themselves."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import scenegen
from scenegen.contract import objects
from scenegen.contract.objects import StepMeta
from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError, UsageError
from scenegen.objects.options import STEPS, ObjectOptions
from scenegen.objects.wanted_assets import WantedAssets
from scenegen.scenes.factory import shard_meta
from scenegen.shards.objects import AssetCut, ObjectShard, read_meta

if TYPE_CHECKING:
    from scenegen.annotate.weights import Weights
    from scenegen.objects.networks.encoders import EncoderFiles
    from scenegen.objects.networks.manifest import ExtractorRecord

TRELLIS_ENCODERS = "microsoft/TRELLIS-image-large/ckpts/{ss_enc_conv3d_16l8_fp16,slat_enc_swin8_B_64l8_fp16}"
AUTO = "auto"
# they have their own, or none
_NOT_OF_CLEAN_VIEWS = ("samples", "denoise", "denoising_prefilter", "albedo", "transparent")


@dataclass(frozen=True, slots=True)
class Encoders:
    """Where the encoders of the latents are: a path, or an address on the hub; None for one that is not wanted."""

    structure: str | None = None
    slat: str | None = None

    def __bool__(self) -> bool:
        return bool(self.structure or self.slat)

    def files(self) -> "EncoderFiles":
        """The same for the room of torch."""
        from scenegen.objects.networks.encoders import EncoderFiles

        return EncoderFiles(self.structure, self.slat)


@dataclass(frozen=True, slots=True)
class Toolkit:
    """What the steps of a run need, looked up before anything begins. encoder_settings: names and sha256."""

    steps: tuple[str, ...]
    extractor: "ExtractorRecord"
    weights: "Weights | None"
    encoders: Encoders
    encoder_settings: dict[str, Any]


def choose_steps(text: str, encoders: Encoders) -> tuple[str, ...]:
    """ "auto" takes every step that has what it needs; else a list with commas. Raises UsageError."""
    if text == AUTO:
        return STEPS if encoders else STEPS[:-1]
    wanted = {name.strip() for name in text.split(",") if name.strip()}
    unknown = sorted(wanted - set(STEPS))
    if unknown or not wanted:
        named = ", ".join(map(repr, unknown or [text]))
        raise UsageError(f"there is no step {named}; choose {AUTO}, or some of: {', '.join(STEPS)}")
    if "latents" in wanted and not encoders:
        raise UsageError(
            "the step latents needs encoders: scenegen objects --steps latents --structure-encoder PATH --slat-encoder "
            f"PATH, one or both, a path or an address such as {TRELLIS_ENCODERS}"
        )
    return tuple(step for step in STEPS if step in wanted)


def left_out(text: str, steps: Sequence[str]) -> str:
    """What to say where "auto" left a step out; empty otherwise."""
    if text != AUTO or "latents" in steps:
        return ""
    return (
        "objects: no latents, because no encoder is given; they are made with: scenegen objects --steps latents "
        f"--structure-encoder PATH --slat-encoder PATH, of TRELLIS for instance {TRELLIS_ENCODERS}"
    )


def find_tools(
    steps: Sequence[str],
    options: ObjectOptions,
    encoders: Encoders,
    weights: Sequence[str] = (),
    download: bool = False,
) -> Toolkit:
    """Everything that the steps need of networks, before anything is computed.

    weights: NAME=PATH or NAME=HUB_ID of the extractor. Raises UsageError, MissingWeightsError, SceneGenError saying
    what is missing, its size, where to put it, and what to choose instead.
    """
    from scenegen.annotate.weights import fetch, parse_overrides
    from scenegen.objects.networks.manifest import choose_extractor, require_extractor

    extractor = choose_extractor(options.extractor)
    overrides = parse_overrides(weights)
    strangers = sorted(overrides.keys() - {extractor.name})
    if strangers:
        raise UsageError(f"--weights names {', '.join(strangers)}, but the extractor is {extractor.name}")
    found = None
    if "features" in steps or ("latents" in steps and encoders.slat):
        if download:
            fetch(extractor, overrides.get(extractor.name))
        found = require_extractor(extractor, overrides)
    settings = encoders.files().settings() if "latents" in steps else {}
    return Toolkit(tuple(steps), extractor, found, encoders, settings)


def table_of(step: str, options: ObjectOptions) -> str:
    """The table that a step fills."""
    return {
        "geometry": objects.OBJECTS,
        "views": objects.VIEWS,
        "features": objects.FEATURES_PREFIX + options.extractor,
        "latents": objects.LATENTS_PREFIX + options.latents_name,
    }[step]


class StepMetas:
    """What the files of each step are to say, given what is there of the steps before it."""

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
        """Reads what the tables say that the step builds on. Raises SceneGenError if one is missing."""
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
        """The settings that all of this process's files of another table have in common."""
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
