"""Initial weights: the networks of a trained pipeline (TRELLIS, 3D-Fixer, or one of ours), under our names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.checkpoints import CheckpointError, locate, pipeline_places
from pipelines.errors import UsageError

# Our name of a network -> its key in an official pipeline.json.
OFFICIAL_KEYS = {
    "structure_encoder": "sparse_structure_encoder",
    "structure_decoder": "sparse_structure_decoder",
    "structure_flow": "sparse_structure_flow_model",
    "coarse_completer": "scene_sparse_structure_flow_coarse_model",
    "fine_completer": "scene_sparse_structure_flow_fine_model",
    "slat_encoder": "slat_encoder",
    "gaussian_decoder": "slat_decoder_gs",
    "mesh_decoder": "slat_decoder_mesh",
    "slat_flow": "slat_flow_model",
    "texturer": "scene_slat_flow_model",
}
_NAMES = {key: name for name, key in OFFICIAL_KEYS.items()}
# Beginning of a released file's name -> our name of the network; longer beginnings first.
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
# TRELLIS has its encoders beside the pipeline without listing them in it.
_UNLISTED = ("ss_enc_conv3d_16l8_fp16", "slat_enc_swin8_B_64l8_fp16")
_STATISTICS = "slat_normalization"


@dataclass(frozen=True)
class StageInputs:
    """What a stage may start from or build on.

    weights: place of each network (a path or an id on the hub) by our name. facts: what former stages measured once, by
    stage; see `Stage.facts`.
    """

    weights: Mapping[str, str | Path] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def initial_pipeline(source: str) -> StageInputs:
    """The networks of a trained pipeline and the statistics of its latents.

    source: a folder, or owner/repo on the hub. Raises CheckpointError if there is no pipeline, UsageError if it has no
    network that stages know.
    """
    places, args = pipeline_places(source)
    named = ((_our_name(key, Path(place).name), place) for key, place in places.items())
    found = {name: place for name, place in named if name}
    for stem in _UNLISTED:
        place, name = f"{source}/ckpts/{stem}", _our_name("", stem)
        if name and name not in found and _exists(place):
            found[name] = place
    if not found:
        raise UsageError(f"--init {source} has no network that stages know; it has {', '.join(sorted(places))}")
    return StageInputs(found, {"slat_vae": {_STATISTICS: args[_STATISTICS]}} if _STATISTICS in args else {})


def _our_name(key: str, stem: str) -> str | None:
    """By its key in pipeline.json, or else by the name of its file; None for networks that stages do not know."""
    return _NAMES.get(key) or next((name for start, name in _STEMS if stem.startswith(start)), None)


def _exists(place: str) -> bool:
    try:
        locate(place)
    except CheckpointError:
        return False
    return True
