"""The steps of `scenegen objects`: which of them run, and what they need before they can begin."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scenegen.errors import UsageError
from scenegen.objects.options import STEPS, ObjectOptions

if TYPE_CHECKING:
    from scenegen.annotate.weights import Weights
    from scenegen.objects.networks.encoders import EncoderFiles
    from scenegen.objects.networks.manifest import ExtractorRecord

TRELLIS_ENCODERS = "microsoft/TRELLIS-image-large/ckpts/{ss_enc_conv3d_16l8_fp16,slat_enc_swin8_B_64l8_fp16}"
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Encoders:
    """Where the encoders of the latents are: each a path or an address on the hub; None for one that is not wanted."""

    structure: str | None = None
    slat: str | None = None

    def __bool__(self) -> bool:
        return bool(self.structure or self.slat)

    def files(self) -> "EncoderFiles":
        """The same as the class that loads them, which needs torch."""
        from scenegen.objects.networks.encoders import EncoderFiles

        return EncoderFiles(self.structure, self.slat)


@dataclass(frozen=True, slots=True)
class Toolkit:
    """The steps of a run and the networks that they need, found before anything is computed.

    extractor: of the image features. weights: of the extractor; None if no step uses it, or if it brings its own.
    encoder_settings: names and sha256 of the encoders' weights.
    """

    steps: tuple[str, ...]
    extractor: "ExtractorRecord"
    weights: "Weights | None"
    encoders: Encoders
    encoder_settings: dict[str, Any]


def choose_steps(text: str, encoders: Encoders) -> tuple[str, ...]:
    """The steps to run, in the order of STEPS.

    text: "auto" for every step that has what it needs, or a comma-separated list.
    Raises UsageError for a step that does not exist, or one that lacks its encoders.
    """
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
    """What to tell the user if "auto" left a step out; else an empty string."""
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
    """Find the networks that the steps need, before anything is computed.

    weights: NAME=PATH or NAME=HUB_ID of the extractor. download: fetch its weights if they are missing.
    Raises UsageError, MissingWeightsError or SceneGenError that says what is missing, its size, where to put it, and
    what to choose instead.
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
