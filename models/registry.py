"""Official class names and arguments -> our networks, and back.

This is the only place that knows the released names; the rest of the code uses ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import nn

from models.compat import MENDED, ReferenceCompat
from models.completer import StructureCompleter
from models.dinov2 import DinoConfig, DinoVisionTransformer, dino_config
from models.execution import DEFAULT_EXECUTION, Execution
from models.gaussian_decoder import GaussianConfig, GaussianDecoder, GaussianDecoderConfig
from models.mesh_decoder import MeshDecoder, MeshDecoderConfig
from models.moge import Moge, MogeConfig
from models.radiance_decoder import RadianceDecoderConfig, RadianceFieldDecoder
from models.slat_flow import SLatFlow, SLatFlowConfig
from models.slat_vae import SLatEncoder, SLatEncoderConfig
from models.structure_flow import FlowConfig, SparseStructureFlow
from models.structure_vae import (
    SparseStructureDecoder,
    SparseStructureEncoder,
    StructureDecoderConfig,
    StructureEncoderConfig,
)
from models.texturer import Texturer, TexturerConfig

# How the released code computes, which `Execution` and autocast replace.
EXECUTION_ARGS = {"use_fp16", "use_checkpoint"}
# DINOv2 options of which one value is built: the one that every released image encoder here has.
DINO_FIXED = {"block_chunks": 0, "ffn_layer": "mlp", "init_values": 1.0}


@dataclass(frozen=True)
class Entry:
    """A network, how its config is read from official arguments, and which runtime arguments it takes."""

    network: type[nn.Module]
    config: Callable[[Mapping[str, Any]], Any]
    takes_execution: bool = True
    takes_compat: bool = False


def _plain(config: type) -> Callable[[Mapping[str, Any]], Any]:
    """Arguments that are the config's own fields."""

    def read(args: Mapping[str, Any]) -> Any:
        known = {f.name for f in fields(config)}
        unknown = args.keys() - known - EXECUTION_ARGS
        if unknown:
            raise ValueError(f"{config.__name__} does not know the arguments {sorted(unknown)}")
        listed = {key: tuple(value) if isinstance(value, list) else value for key, value in args.items()}
        return config(**{key: value for key, value in listed.items() if key in known})

    return read


def _gaussian(args: Mapping[str, Any]) -> GaussianDecoderConfig:
    names = {"2d_filter_kernel_size": "kernel_2d", "3d_filter_kernel_size": "kernel_3d"}
    representation = {names.get(key, key): value for key, value in args["representation_config"].items()}
    rest = {key: value for key, value in args.items() if key != "representation_config"}
    return _plain(GaussianDecoderConfig)({**rest, "representation": GaussianConfig(**representation)})


def _flattened(config: type) -> Callable[[Mapping[str, Any]], Any]:
    """`representation_config` holds fields of the config itself."""

    def read(args: Mapping[str, Any]) -> Any:
        rest = {key: value for key, value in args.items() if key != "representation_config"}
        return _plain(config)({**rest, **args.get("representation_config", {})})

    return read


def _dino(args: Mapping[str, Any]) -> DinoConfig:
    if "hub" in args:
        return dino_config(args["hub"])
    for name, value in DINO_FIXED.items():
        if args.get(name, value) != value:
            raise ValueError(f"DINOv2 with {name}={args[name]!r} is not built, only {value!r}")
    return _plain(DinoConfig)({key: value for key, value in args.items() if key not in DINO_FIXED})


OFFICIAL_CLASSES: dict[str, Entry] = {
    "SparseStructureEncoder": Entry(SparseStructureEncoder, _plain(StructureEncoderConfig), takes_execution=False),
    "SparseStructureDecoder": Entry(SparseStructureDecoder, _plain(StructureDecoderConfig), takes_execution=False),
    "SparseStructureFlowModel": Entry(SparseStructureFlow, _plain(FlowConfig)),
    "SceneSparseStructureFlowModule": Entry(StructureCompleter, _plain(FlowConfig), takes_compat=True),
    "SLatEncoder": Entry(SLatEncoder, _plain(SLatEncoderConfig)),
    "SLatGaussianDecoder": Entry(GaussianDecoder, _gaussian),
    "SLatRadianceFieldDecoder": Entry(RadianceFieldDecoder, _flattened(RadianceDecoderConfig)),
    "SLatMeshDecoder": Entry(MeshDecoder, _flattened(MeshDecoderConfig)),
    "SLatFlowModel": Entry(SLatFlow, _plain(SLatFlowConfig)),
    "SceneSLatFlowModel": Entry(Texturer, _plain(TexturerConfig), takes_compat=True),
    "DinoVisionTransformer": Entry(DinoVisionTransformer, _dino),
    "MoGeModel": Entry(Moge, MogeConfig.from_official),
}


def entry(class_name: str) -> Entry:
    """The entry of an official class. "Elastic" classes only differ in how they manage memory."""
    name = class_name.removeprefix("Elastic")
    if name not in OFFICIAL_CLASSES:
        raise ValueError(f"unknown network class {class_name!r}; known are {', '.join(sorted(OFFICIAL_CLASSES))}")
    return OFFICIAL_CLASSES[name]


def build(
    class_name: str,
    args: Mapping[str, Any],
    execution: Execution = DEFAULT_EXECUTION,
    reference_compat: ReferenceCompat = MENDED,
) -> nn.Module:
    """The network that an official class name and its arguments describe, with fresh weights."""
    found = entry(class_name)
    options: dict[str, Any] = {}
    if found.takes_execution:
        options["execution"] = execution
    if found.takes_compat:
        options["reference_compat"] = reference_compat
    return found.network(found.config(args), **options)
