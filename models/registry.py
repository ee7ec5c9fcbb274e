"""Official class names and arguments -> our networks, and back.

This is the only place that knows the released names; the rest of the code uses ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

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


Arguments = dict[str, Any]
NetworkT = TypeVar("NetworkT", bound=nn.Module)


@dataclass(frozen=True)
class Entry:
    """A network, how its config is read from and written as official arguments, and which runtime options it takes."""

    network: type[nn.Module]
    config: Callable[[Mapping[str, Any]], Any]
    arguments: Callable[[Any], Arguments]
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


def _stated(config: Any) -> Arguments:
    """The fields that differ from their defaults, which are the official ones."""
    values = {f.name: getattr(config, f.name) for f in fields(config) if getattr(config, f.name) != f.default}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


KERNEL_NAMES = {"2d_filter_kernel_size": "kernel_2d", "3d_filter_kernel_size": "kernel_3d"}


def _gaussian(args: Mapping[str, Any]) -> GaussianDecoderConfig:
    representation = {KERNEL_NAMES.get(key, key): value for key, value in args["representation_config"].items()}
    rest = {key: value for key, value in args.items() if key != "representation_config"}
    return _plain(GaussianDecoderConfig)({**rest, "representation": GaussianConfig(**representation)})


def _gaussian_arguments(config: GaussianDecoderConfig) -> Arguments:
    official = {ours: name for name, ours in KERNEL_NAMES.items()}
    representation = {official.get(key, key): value for key, value in asdict(config.representation).items()}
    rest = {key: value for key, value in _stated(config).items() if key != "representation"}
    return {**rest, "representation_config": representation}


def _nested(config: type, *names: str) -> dict[str, Any]:
    """For an `Entry`: the fields `names` are official arguments inside `representation_config`."""

    def read(args: Mapping[str, Any]) -> Any:
        rest = {key: value for key, value in args.items() if key != "representation_config"}
        return _plain(config)({**rest, **args.get("representation_config", {})})

    def write(value: Any) -> Arguments:
        rest = {key: stated for key, stated in _stated(value).items() if key not in names}
        return {**rest, "representation_config": {name: getattr(value, name) for name in names}}

    return {"config": read, "arguments": write}


def _dino(args: Mapping[str, Any]) -> DinoConfig:
    if "hub" in args:
        return dino_config(args["hub"])
    for name, value in DINO_FIXED.items():
        if args.get(name, value) != value:
            raise ValueError(f"DINOv2 with {name}={args[name]!r} is not built, only {value!r}")
    return _plain(DinoConfig)({key: value for key, value in args.items() if key not in DINO_FIXED})


def _own(config: type) -> dict[str, Any]:
    """For an `Entry`: official arguments are the config's own fields."""
    return {"config": _plain(config), "arguments": _stated}


STATIC: dict[str, Any] = {"takes_execution": False}
CONTROL: dict[str, Any] = {"takes_compat": True}
OFFICIAL_CLASSES: dict[str, Entry] = {
    "SparseStructureEncoder": Entry(SparseStructureEncoder, **_own(StructureEncoderConfig), **STATIC),
    "SparseStructureDecoder": Entry(SparseStructureDecoder, **_own(StructureDecoderConfig), **STATIC),
    "SparseStructureFlowModel": Entry(SparseStructureFlow, **_own(FlowConfig)),
    "SceneSparseStructureFlowModule": Entry(StructureCompleter, **_own(FlowConfig), **CONTROL),
    "SLatEncoder": Entry(SLatEncoder, **_own(SLatEncoderConfig)),
    "SLatGaussianDecoder": Entry(GaussianDecoder, _gaussian, _gaussian_arguments),
    "SLatRadianceFieldDecoder": Entry(RadianceFieldDecoder, **_nested(RadianceDecoderConfig, "rank", "dim")),
    "SLatMeshDecoder": Entry(MeshDecoder, **_nested(MeshDecoderConfig, "use_color")),
    "SLatFlowModel": Entry(SLatFlow, **_own(SLatFlowConfig)),
    "SceneSLatFlowModel": Entry(Texturer, **_own(TexturerConfig), **CONTROL),
    "DinoVisionTransformer": Entry(DinoVisionTransformer, _dino, _stated),
    "MoGeModel": Entry(Moge, MogeConfig.from_official, MogeConfig.to_official),
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
    return construct(found.network, found.config(args), execution, reference_compat)


def construct(
    kind: type[NetworkT],
    config: Any,
    execution: Execution = DEFAULT_EXECUTION,
    reference_compat: ReferenceCompat = MENDED,
) -> NetworkT:
    """One of our networks from its config, with fresh weights and those of the options that it takes."""
    (found,) = (found for found in OFFICIAL_CLASSES.values() if found.network is kind)
    options: dict[str, Any] = {}
    if found.takes_execution:
        options["execution"] = execution
    if found.takes_compat:
        options["reference_compat"] = reference_compat
    return kind(config, **options)


def describe(network: nn.Module) -> tuple[str, Arguments]:
    """The official class name and arguments of a network; the inverse of `build`."""
    for name, found in OFFICIAL_CLASSES.items():
        if type(network) is found.network:
            return name, found.arguments(network.config)
    raise ValueError(f"{type(network).__name__} is not a released network and has no official description")
