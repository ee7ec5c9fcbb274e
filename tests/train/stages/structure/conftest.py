"""Structure stages on the tiny dataset, with networks that take milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from models.checkpoints import write_network
from models.structure_flow import SparseStructureFlow
from models.structure_vae import (
    SparseStructureDecoder,
    SparseStructureEncoder,
    StructureDecoderConfig,
    StructureEncoderConfig,
)
from pipelines.encoders.protocol import ImageEncoders
from pipelines.encoders.registry import load_encoders
from pipelines.train.data.options import DataLocation, DataOptions
from pipelines.train.settings.recipes import recipe
from pipelines.train.settings.sizes import SystemSizes, tiny
from pipelines.train.stages.context import StageContext
from pipelines.train.stages.registry import make_stage


@pytest.fixture(scope="session")
def encoders() -> ImageEncoders:
    return load_encoders("efficientnet_lite0", image_px=64)


@pytest.fixture(scope="session")
def sizes(encoders: ImageEncoders) -> SystemSizes:
    """Smaller than tiny."""
    small = tiny(encoders.sizes)
    flow = replace(small.structure_flow, model_channels=32, num_blocks=3, num_heads=2, patch_size=4)
    return replace(
        small,
        structure_encoder=StructureEncoderConfig(1, 8, 0, (2, 4, 8), 1),
        structure_decoder=StructureDecoderConfig(1, 8, 0, (8, 4, 2), 1),
        structure_flow=flow,
        completer=replace(flow, num_blocks=2),
    )


@pytest.fixture(scope="session")
def weights(sizes: SystemSizes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Networks of former stages that look trained: every weight is off its initial value."""
    folder = tmp_path_factory.mktemp("structure_weights")
    torch.manual_seed(0)
    made: dict[str, nn.Module] = {
        "structure_encoder": SparseStructureEncoder(sizes.structure_encoder),
        "structure_decoder": SparseStructureDecoder(sizes.structure_decoder),
        "structure_flow": SparseStructureFlow(sizes.structure_flow),
    }
    for name, network in made.items():
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
            if name == "structure_decoder":  # one voxel in a hundred is occupied, or pictures and measures take seconds
                logits = network(torch.randn(2, 8, 16, 16, 16))
                network.out_layer[-1].bias -= torch.quantile(logits.flatten()[::8], 0.99)
        write_network(network, folder / name)
    return {name: folder / name for name in made}


@pytest.fixture
def stage(tiny_data: Path, encoders: ImageEncoders, sizes: SystemSizes, weights: dict[str, Path]) -> Callable[..., Any]:
    """A stage by name; keywords change its recipe, `given` adds networks."""

    def make(name: str, given: dict[str, Path] | None = None, **changes: Any) -> Any:
        context = StageContext(
            recipe=replace(recipe(name, "tiny"), **changes),
            sizes=sizes,
            data=DataOptions((DataLocation(str(tiny_data)),), image_px=encoders.sizes.image_px),
            encoders=encoders,
            weights={**weights, **(given or {})},
        )
        return make_stage(name, context)

    return make


@pytest.fixture
def batch(stage: Callable[..., Any]) -> Callable[..., Any]:
    """Samples of a stage's own training source."""

    def make(of: Any, count: int = 2) -> Any:
        source = of.source("train")
        return source.collate([source.load(index, epoch=0) for index in range(count)])

    return make
