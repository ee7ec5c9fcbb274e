"""The registry of stages: the class of each, the networks that it needs, and those that it makes.

Names of networks, such as `structure_encoder`, are those of checkpoints in a run and of `StageContext.weights`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pipelines.errors import UsageError
from pipelines.names import STAGE_NAMES
from pipelines.train.interfaces.stage import Stage
from pipelines.train.stages.context import StageContext, StageEntry

_STRUCTURE_VAE = ("structure_encoder", "structure_decoder")
_STRUCTURE = (*_STRUCTURE_VAE, "structure_flow")
_SLAT_VAE = ("slat_encoder", "gaussian_decoder")
_LPIPS = ("lpips_vgg16", "lpips_linear")

STAGES: dict[str, StageEntry] = {
    "structure_vae": StageEntry(
        "structure_vae",
        "pipelines.train.stages.structure_vae:StructureVaeStage",
        makes=_STRUCTURE_VAE,
        starts_from=_STRUCTURE_VAE,
    ),
    "slat_vae": StageEntry(
        "slat_vae",
        "pipelines.train.stages.slat_vae:SlatVaeStage",
        makes=_SLAT_VAE,
        starts_from=_SLAT_VAE,
        uses=_LPIPS,
    ),
    "structure_base": StageEntry(
        "structure_base",
        "pipelines.train.stages.structure_base:StructureBaseStage",
        makes=("structure_flow",),
        needs=_STRUCTURE_VAE,
        starts_from=("structure_flow",),
    ),
    "slat_base": StageEntry(
        "slat_base",
        "pipelines.train.stages.slat_base:SlatBaseStage",
        makes=("slat_flow",),
        needs=_SLAT_VAE,
        starts_from=("slat_flow",),
    ),
    "gaussian_decoder": StageEntry(
        "gaussian_decoder",
        "pipelines.train.stages.gaussian_decoder:GaussianDecoderStage",
        makes=("gaussian_decoder",),
        needs=("slat_encoder",),
        starts_from=("gaussian_decoder",),
        uses=_LPIPS,
    ),
    "mesh_decoder": StageEntry(
        "mesh_decoder",
        "pipelines.train.stages.mesh_decoder:MeshDecoderStage",
        makes=("mesh_decoder",),
        needs=("slat_encoder",),
        starts_from=("mesh_decoder",),
        uses=_LPIPS,
    ),
    "object": StageEntry(
        "object",
        "pipelines.train.stages.completer:CompleterStage",
        makes=("object_completer",),
        needs=_STRUCTURE,
        starts_from=("object_completer",),
    ),
    "coarse": StageEntry(
        "coarse",
        "pipelines.train.stages.completer:CompleterStage",
        makes=("coarse_completer",),
        needs=_STRUCTURE,
        starts_from=("coarse_completer", "object_completer"),
    ),
    "fine": StageEntry(
        "fine",
        "pipelines.train.stages.completer:CompleterStage",
        makes=("fine_completer",),
        needs=_STRUCTURE,
        starts_from=("fine_completer", "object_completer"),
    ),
    "texturer": StageEntry(
        "texturer",
        "pipelines.train.stages.texturer:TexturerStage",
        makes=("texturer",),
        needs=(*_SLAT_VAE, "slat_flow"),
        starts_from=("texturer",),
    ),
}


def stage_entry(name: str) -> StageEntry:
    """The entry of a stage. Raises UsageError for an unknown one."""
    if name not in STAGES:
        known = ", ".join(stage for stage in STAGE_NAMES if stage in STAGES)
        raise UsageError(f"unknown stage {name!r}; choose all or one of {known}")
    return STAGES[name]


def make_stage(name: str, context: StageContext) -> Stage:
    """A stage, ready to be trained.

    It is given only the weights that its entry names. The augmentation of the recipe, if it has one, replaces that of
    the data options. Raises UsageError for an unknown stage.
    """
    entry, augmentation = stage_entry(name), context.recipe.augmentation
    data = context.data if augmentation is None else replace(context.data, augmentation=augmentation)
    named = entry.needs + entry.starts_from + entry.uses
    used = {network: place for network, place in context.weights.items() if network in named}
    module, _, class_name = entry.place.partition(":")
    make = getattr(importlib.import_module(module), class_name)
    stage: Stage = make(entry, replace(context, weights=used, data=data))
    return stage


def missing_networks(name: str, weights: Mapping[str, str | Path]) -> list[str]:
    """Names of the networks that a stage needs and `weights` does not have."""
    return [network for network in stage_entry(name).needs if network not in weights]
