"""Names that a user types. Nothing is imported here, so that `--help` knows them without loading PyTorch."""

from typing import Literal, get_args

SizeName = Literal["tiny", "compact", "dense", "small", "official"]
SIZE_NAMES: tuple[SizeName, ...] = get_args(SizeName)

EncoderName = Literal["official", "efficientnet_lite0"]
ENCODER_NAMES: tuple[EncoderName, ...] = get_args(EncoderName)

StageName = Literal[
    "structure_vae",
    "slat_vae",
    "structure_base",
    "slat_base",
    "gaussian_decoder",
    "mesh_decoder",
    "object",
    "coarse",
    "fine",
    "texturer",
]
STAGE_NAMES: tuple[StageName, ...] = get_args(StageName)
"""In the order in which they build on one another."""
