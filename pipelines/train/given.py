"""Networks of a trained pipeline (TRELLIS, 3D-Fixer, or one of ours) under the names that stages know them by."""

from __future__ import annotations

from pathlib import Path

from models.checkpoints import CheckpointError, locate, pipeline_places
from pipelines.errors import UsageError

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
# The keys of pipeline.json, for files with other names.
_KEYS = {
    "sparse_structure_encoder": "structure_encoder",
    "sparse_structure_decoder": "structure_decoder",
    "sparse_structure_flow_model": "structure_flow",
    "scene_sparse_structure_flow_coarse_model": "coarse_completer",
    "scene_sparse_structure_flow_fine_model": "fine_completer",
    "slat_encoder": "slat_encoder",
    "slat_flow_model": "slat_flow",
    "scene_slat_flow_model": "texturer",
    "slat_decoder_gs": "gaussian_decoder",
    "slat_decoder_mesh": "mesh_decoder",
}
# TRELLIS keeps its encoders beside the pipeline without naming them in it.
_UNNAMED = ("ss_enc_conv3d_16l8_fp16", "slat_enc_swin8_B_64l8_fp16")


def given_networks(source: str) -> dict[str, str | Path]:
    """Place of each network that stages can start from or use. Raises CheckpointError without a pipeline there."""
    places, _ = pipeline_places(source)
    found = {name: place for key, place in places.items() if (name := _name(key, Path(place).name))}
    for stem in _UNNAMED:
        place, name = f"{source}/ckpts/{stem}", _name("", stem)
        if name and name not in found and _is_there(place):
            found[name] = place
    if not found:
        raise UsageError(f"--init {source} has no network that stages know; it has {', '.join(sorted(places))}")
    return found


def _name(key: str, stem: str) -> str | None:
    return _KEYS.get(key) or next((name for start, name in _STEMS if stem.startswith(start)), None)


def _is_there(place: str) -> bool:
    try:
        locate(place)
    except CheckpointError:
        return False
    return True
