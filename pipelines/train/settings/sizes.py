"""The sizes of a system: the configs of all its networks. Widths of image features follow from the encoders.

`official`: the released configs; tests check their parameter counts. `small`: one GPU, hours. `dense`: one GPU,
minutes. `compact`: two CPU cores, some hours; the size of the packaged checkpoint. `tiny`: one CPU core, minutes; for
tests. All have the same grids: 64^3 voxels, structure latents of 16^3 x 8, structured latents of 8 channels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from models.gaussian_decoder import GaussianConfig, GaussianDecoderConfig
from models.mesh_decoder import MeshDecoderConfig
from models.slat_flow import SLatFlowConfig
from models.slat_vae import SLatEncoderConfig
from models.structure_flow import FlowConfig
from models.structure_vae import StructureDecoderConfig, StructureEncoderConfig
from models.texturer import TexturerConfig
from pipelines.encoders.protocol import EncoderSizes
from pipelines.errors import UsageError
from pipelines.names import SIZE_NAMES, SizeName

GRID, LATENT_GRID, LATENT_CHANNELS = 64, 16, 8
OFFICIAL_GAUSSIANS = 32  # per voxel; fewer Gaussians start larger, so that they cover the same area


@dataclass(frozen=True)
class SystemSizes:
    """The config of every network of a system."""

    name: SizeName
    structure_encoder: StructureEncoderConfig
    structure_decoder: StructureDecoderConfig
    structure_flow: FlowConfig
    completer: FlowConfig
    slat_encoder: SLatEncoderConfig
    gaussian_decoder: GaussianDecoderConfig
    mesh_decoder: MeshDecoderConfig
    slat_flow: SLatFlowConfig
    texturer: TexturerConfig

    def config_of(self, network: str) -> Any:
        """The config of a network by its name in runs; the three completers share one."""
        return getattr(self, "completer" if network.endswith("_completer") else network)


def system_sizes(name: str, encoders: EncoderSizes) -> SystemSizes:
    """The configs of a size by its name. Raises UsageError for an unknown one."""
    makers = {"tiny": tiny, "compact": compact, "dense": dense, "small": small, "official": official}
    if name not in makers:
        raise UsageError(f"unknown size {name!r}; choose one of {', '.join(SIZE_NAMES)}")
    return makers[name](encoders)


def official(encoders: EncoderSizes) -> SystemSizes:
    """The released sizes."""
    return _system(
        "official",
        encoders,
        flow={"model_channels": 1024, "num_blocks": 24, "num_heads": 16},
        patch_size=1,
        branch_blocks=12,
        vae=_structure_vae((32, 128, 512), res_blocks=2, middle_blocks=2),
        trunk={"model_channels": 768, "num_blocks": 12, "num_heads": 12},
        io_channels=128,
        gaussians=32,
    )


def small(encoders: EncoderSizes) -> SystemSizes:
    """About a hundredth of the official size; the structure networks have a token for every 2^3 latents."""
    return _system(
        "small",
        encoders,
        flow={"model_channels": 384, "num_blocks": 12, "num_heads": 6},
        patch_size=2,
        branch_blocks=6,
        vae=_structure_vae((16, 64, 256), res_blocks=1, middle_blocks=2),
        trunk={"model_channels": 256, "num_blocks": 6, "num_heads": 4},
        io_channels=64,
        gaussians=8,
    )


def dense(encoders: EncoderSizes) -> SystemSizes:
    """Compact's widths, but a token for every latent as in the official size: eight times the tokens."""
    wide = compact(encoders)
    flow, branch = replace(wide.structure_flow, patch_size=1), replace(wide.completer, patch_size=1)
    return replace(wide, name="dense", structure_flow=flow, completer=branch)


def compact(encoders: EncoderSizes) -> SystemSizes:
    """Two CPU cores train it in three hours, and complete an object with it in a few seconds.

    The branch controls all but the last block of the base. Meshes are extracted from a grid of 128^3 instead of 256^3,
    which gives a quarter of the faces.
    """
    return _system(
        "compact",
        encoders,
        flow={"model_channels": 144, "num_blocks": 4, "num_heads": 3},
        patch_size=2,
        branch_blocks=3,
        vae=_structure_vae((8, 32, 64), res_blocks=0, middle_blocks=2),
        trunk={"model_channels": 128, "num_blocks": 3, "num_heads": 4},
        io_channels=32,
        gaussians=4,
        sparse_flow={"model_channels": 128, "num_blocks": 2, "num_heads": 4},
        sparse_branch_blocks=2,
        mesh_upsamples=1,
    )


def tiny(encoders: EncoderSizes) -> SystemSizes:
    """For one CPU core."""
    return _system(
        "tiny",
        encoders,
        flow={"model_channels": 96, "num_blocks": 4, "num_heads": 4},
        patch_size=2,
        branch_blocks=2,
        vae=_structure_vae((8, 16, 32), res_blocks=0, middle_blocks=1),
        trunk={"model_channels": 64, "num_blocks": 2, "num_heads": 2},
        io_channels=32,
        gaussians=4,
    )


def _structure_vae(
    channels: tuple[int, int, int], res_blocks: int, middle_blocks: int
) -> tuple[StructureEncoderConfig, StructureDecoderConfig]:
    """Encoder and decoder; `channels` from 64^3 to 16^3."""
    return (
        StructureEncoderConfig(1, LATENT_CHANNELS, res_blocks, channels, middle_blocks),
        StructureDecoderConfig(1, LATENT_CHANNELS, res_blocks, channels[::-1], middle_blocks),
    )


def _system(
    name: SizeName,
    encoders: EncoderSizes,
    *,
    flow: dict[str, Any],
    patch_size: int,
    branch_blocks: int,
    vae: tuple[StructureEncoderConfig, StructureDecoderConfig],
    trunk: dict[str, Any],
    io_channels: int,
    gaussians: int,
    sparse_flow: dict[str, Any] | None = None,
    sparse_branch_blocks: int | None = None,
    mesh_upsamples: int = 2,
) -> SystemSizes:
    """All networks of a system.

    flow, patch_size, branch_blocks: of the structure flow and its branch. vae: of the structure. trunk: of the SLAT
    encoder and decoders. io_channels: of the SLAT flow's outer blocks. gaussians: per voxel.
    sparse_flow, sparse_branch_blocks: of the SLAT flow and its branch where they differ from the structure's.
    """
    latent = {"in_channels": LATENT_CHANNELS, "out_channels": LATENT_CHANNELS}
    shared = {**latent, **flow, "cond_channels": encoders.width, "qk_rms_norm": True}
    sparse = {**shared, **(sparse_flow or {}), "resolution": GRID, "patch_size": 2, "io_block_channels": (io_channels,)}
    trunk = {**trunk, "resolution": GRID, "latent_channels": LATENT_CHANNELS}
    structure_flow = FlowConfig(resolution=LATENT_GRID, patch_size=patch_size, **shared)
    slat_flow = SLatFlowConfig(**sparse)
    return SystemSizes(
        name=name,
        structure_encoder=vae[0],
        structure_decoder=vae[1],
        structure_flow=structure_flow,
        completer=replace(structure_flow, num_blocks=branch_blocks),
        slat_encoder=SLatEncoderConfig(**trunk, in_channels=encoders.voxel_channels),
        gaussian_decoder=GaussianDecoderConfig(
            **trunk,
            representation=GaussianConfig(
                num_gaussians=gaussians,
                scaling_bias=GaussianConfig.scaling_bias * (OFFICIAL_GAUSSIANS / gaussians) ** 0.5,
                lr={"_rotation": 0.1},
            ),
        ),
        mesh_decoder=MeshDecoderConfig(**trunk, use_color=True, num_upsamples=mesh_upsamples),
        slat_flow=slat_flow,
        texturer=TexturerConfig(
            **{**sparse, "num_blocks": sparse_branch_blocks or branch_blocks},
            cond_slat_channels=encoders.detail_channels,
        ),
    )
