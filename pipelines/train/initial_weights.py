"""What a run is given: networks of a trained pipeline (TRELLIS, 3D-Fixer, or one of ours), by our names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.checkpoints import CheckpointError, locate, pipeline_places
from pipelines.errors import UsageError
from pipelines.train.outputs.release import KEYS

# What the released files are called, longer beginnings first.
_STEMS = (
    ("scene_ss_coarse_flow", "coarse_completer"),
    ("scene_ss_fine_flow", "fine_completer"),
    ("scene_slat_flow", "texturer"),
    ("ss_enc", "structure_encoder"),
    ("ss_dec", "structure_decoder"),
    ("ss_flow", "structure_flow"),
    ("slat_enc", "slat_encoder"),
    ("slat_dec_gs", "gaussian_decoder"),
    ("slat_dec_mesh", "mesh_decoder"),
    ("slat_flow", "slat_flow"),
)
_NAMES = {key: name for name, key in KEYS.items()}
# TRELLIS keeps its encoders beside the pipeline without naming them in it.
_UNNAMED = ("ss_enc_conv3d_16l8_fp16", "slat_enc_swin8_B_64l8_fp16")
_STATISTICS = "slat_normalization"


@dataclass(frozen=True)
class Known:
    """Networks that a stage may use, by name, and what former stages measured once, by stage."""

    weights: Mapping[str, str | Path] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def given_pipeline(source: str) -> Known:
    """Networks of a pipeline that stages can start from or use, and the statistics of its latents.

    source: a folder, or owner/repo on the hub. Raises CheckpointError without a pipeline there.
    """
    places, args = pipeline_places(source)
    named = ((_name(key, Path(place).name), place) for key, place in places.items())
    found = {name: place for name, place in named if name}
    for stem in _UNNAMED:
        place, name = f"{source}/ckpts/{stem}", _name("", stem)
        if name and name not in found and _is_there(place):
            found[name] = place
    if not found:
        raise UsageError(f"--init {source} has no network that stages know; it has {', '.join(sorted(places))}")
    return Known(found, {"slat_vae": {_STATISTICS: args[_STATISTICS]}} if _STATISTICS in args else {})


def _name(key: str, stem: str) -> str | None:
    return _NAMES.get(key) or next((name for start, name in _STEMS if stem.startswith(start)), None)


def _is_there(place: str) -> bool:
    try:
        locate(place)
    except CheckpointError:
        return False
    return True
