"""A checkpoint in the official pipeline layout → every network that completion needs.

Official keys of `pipeline.json` (3D-Fixer, TRELLIS): networks under `models`; `sparse_structure_sampler`,
`coarse_sparse_structure_sampler` (optional, else the former), `slat_sampler`; `slat_normalization`;
`image_cond_model` and `scene_cond_model` for DINOv2 and MoGe-2. Checkpoints of this project add: `encoders` (name,
image_px); `title`, the name that outputs carry; `colours`, where the colours of meshes come from ("mesh" or "image");
`carve` and `thin`, whether free-space carving and thinning are used; and `noise_scale` of a sampler.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from models.checkpoints import CheckpointError, Runtime, read_pipeline
from models.compat import MENDED, ReferenceCompat
from models.completer import StructureCompleter
from models.execution import DEFAULT_EXECUTION, Execution
from models.gaussian_decoder import GaussianDecoder
from models.mesh_decoder import MeshDecoder
from models.slat_flow import SLatFlow
from models.structure_flow import SparseStructureFlow
from models.structure_vae import SparseStructureDecoder, SparseStructureEncoder
from models.texturer import Texturer
from models.weights import freeze
from pipelines.complete.settings import MeshColours, Samplers
from pipelines.complete.steps.structure import StructureNetworks
from pipelines.complete.steps.texture import TextureNetworks
from pipelines.encoders.protocol import ImageEncoders
from pipelines.encoders.registry import load_encoders
from pipelines.errors import PipelineError
from pipelines.latent_statistics import SlatStatistics
from pipelines.samplers import SamplerConfig

STRUCTURE_ENCODER = "sparse_structure_encoder"
STRUCTURE_DECODER = "sparse_structure_decoder"
STRUCTURE_FLOW = "sparse_structure_flow_model"
COARSE_BRANCH = "scene_sparse_structure_flow_coarse_model"
FINE_BRANCH = "scene_sparse_structure_flow_fine_model"
SLAT_FLOW = "slat_flow_model"
TEXTURE_BRANCH = "scene_slat_flow_model"
GAUSSIAN_DECODER = "slat_decoder_gs"
MESH_DECODER = "slat_decoder_mesh"

NETWORKS: dict[str, type[nn.Module]] = {
    STRUCTURE_ENCODER: SparseStructureEncoder,
    STRUCTURE_DECODER: SparseStructureDecoder,
    STRUCTURE_FLOW: SparseStructureFlow,
    COARSE_BRANCH: StructureCompleter,
    FINE_BRANCH: StructureCompleter,
    SLAT_FLOW: SLatFlow,
    TEXTURE_BRANCH: Texturer,
    GAUSSIAN_DECODER: GaussianDecoder,
    MESH_DECODER: MeshDecoder,
}

NetworkT = TypeVar("NetworkT", bound=nn.Module)


@dataclass(frozen=True)
class FixerNetworks:
    """The networks of a checkpoint, frozen, and the encoders that it was trained with.

    title: the name that the checkpoint gives itself; everything that is made with it carries that name.
    colours, carve, thin: as in Settings, if the caller leaves them to the checkpoint.
    """

    title: str
    encoders: ImageEncoders
    coarse: StructureNetworks
    fine: StructureNetworks
    texture: TextureNetworks
    mesh_decoder: MeshDecoder
    gaussian_decoder: GaussianDecoder
    samplers: Samplers
    reference_compat: ReferenceCompat
    colours: MeshColours = "mesh"
    carve: bool = False
    thin: bool = False

    @classmethod
    def read(
        cls,
        source: str | Path,
        encoder_weights: Mapping[str, str | Path] | None = None,
        execution: Execution = DEFAULT_EXECUTION,
        reference_compat: ReferenceCompat = MENDED,
    ) -> FixerNetworks:
        """From a local folder or `owner/repo` on the hub, to the CPU.

        encoder_weights: files of "dinov2" and "moge2", for checkpoints that use the official encoders.
        Raises CheckpointError or PipelineError, which say what is missing or does not fit together.
        """
        loaded, args = read_pipeline(source, Runtime(execution, reference_compat), tuple(NETWORKS))
        for key, kind in NETWORKS.items():
            if not isinstance(loaded[key], kind):
                raise CheckpointError(f"{source}: {key} is a {type(loaded[key]).__name__}, not a {kind.__name__}")
        found = _Loaded({key: freeze(network, reference_compat) for key, network in loaded.items()})
        encoders = _encoders(args, encoder_weights)
        flow = found.get(STRUCTURE_FLOW, SparseStructureFlow)
        _check_encoders(str(source), encoders, flow, found.get(TEXTURE_BRANCH, Texturer))
        vae = found.get(STRUCTURE_ENCODER, SparseStructureEncoder), found.get(STRUCTURE_DECODER, SparseStructureDecoder)
        slat = found.get(SLAT_FLOW, SLatFlow), found.get(TEXTURE_BRANCH, Texturer)
        return cls(
            title=str(args.get("title", source)),
            encoders=encoders,
            coarse=StructureNetworks(flow, found.get(COARSE_BRANCH, StructureCompleter), *vae),
            fine=StructureNetworks(flow, found.get(FINE_BRANCH, StructureCompleter), *vae),
            texture=TextureNetworks(*slat, _statistics(str(source), args), encoders.sizes),
            mesh_decoder=found.get(MESH_DECODER, MeshDecoder),
            gaussian_decoder=found.get(GAUSSIAN_DECODER, GaussianDecoder),
            samplers=_samplers(args),
            reference_compat=reference_compat,
            colours=args.get("colours", "mesh"),
            carve=args.get("carve", False),
            thin=args.get("thin", False),
        )

    def of_structure(self) -> tuple[nn.Module, ...]:
        """Those that the coarse and the fine step run."""
        one = self.coarse
        return one.base, one.encoder, one.decoder, one.branch, self.fine.branch

    def of_texture(self) -> tuple[nn.Module, ...]:
        """Those that the texture step runs."""
        return self.texture.base, self.texture.branch


@dataclass(frozen=True)
class _Loaded:
    networks: Mapping[str, nn.Module]

    def get(self, key: str, kind: type[NetworkT]) -> NetworkT:
        network = self.networks[key]
        assert isinstance(network, kind)  # checked when it was read
        return network


def _encoders(args: Mapping[str, Any], weights: Mapping[str, str | Path] | None) -> ImageEncoders:
    """The encoders that the checkpoint names. Official checkpoints name none, and use the official ones."""
    named = args.get("encoders", {"name": "official"})
    return load_encoders(named["name"], weights, named.get("image_px"))


def _check_encoders(source: str, encoders: ImageEncoders, flow: SparseStructureFlow, texturer: Texturer) -> None:
    wanted = flow.config.cond_channels, texturer.config.cond_slat_channels
    given = encoders.sizes.width, encoders.sizes.detail_channels
    if wanted != given:
        raise PipelineError(
            f"{source} was trained with encoders of {wanted[0]} token and {wanted[1]} detail channels; "
            f"{encoders.name} has {given[0]} and {given[1]}. Use the encoders that it was trained with"
        )


def _statistics(source: str, args: Mapping[str, Any]) -> SlatStatistics:
    try:
        return SlatStatistics.from_json(args["slat_normalization"])
    except KeyError as error:
        raise CheckpointError(
            f"{source}: pipeline.json does not say {error} (slat_normalization), without which latents mean nothing"
        ) from None


def _samplers(args: Mapping[str, Any]) -> Samplers:
    fine = args.get("sparse_structure_sampler")
    return Samplers(
        coarse=_sampler(args.get("coarse_sparse_structure_sampler", fine)),
        fine=_sampler(fine),
        texture=_sampler(args.get("slat_sampler")),
    )


def _sampler(entry: Mapping[str, Any] | None) -> SamplerConfig:
    """With the official values for what a checkpoint does not say."""
    official = SamplerConfig()
    if entry is None:
        return official
    params = entry.get("params", {})
    low, high = params.get("cfg_interval", official.guidance_interval)
    return SamplerConfig(
        steps=params.get("steps", official.steps),
        rescale_t=params.get("rescale_t", official.rescale_t),
        guidance=params.get("cfg_strength", official.guidance),
        guidance_interval=(low, high),
        sigma_min=entry.get("args", {}).get("sigma_min", official.sigma_min),
        noise_scale=params.get("noise_scale", official.noise_scale),
    )
