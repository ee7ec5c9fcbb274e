"""SLAT stages on the tiny dataset, with networks and samples that take milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from models.checkpoints import write_network
from models.gaussian_decoder import GaussianDecoder
from models.slat_flow import SLatFlow
from models.slat_vae import SLatEncoder
from pipelines.encoders.protocol import ImageEncoders
from pipelines.encoders.registry import load_encoders
from pipelines.latent_statistics import SlatStatistics
from pipelines.train.data.options import DataLocation, DataOptions
from pipelines.train.settings.recipes import DecoderRecipe, recipe
from pipelines.train.settings.sizes import SystemSizes, tiny
from pipelines.train.stages.context import StageContext
from pipelines.train.stages.registry import make_stage

FEATURE_CHANNELS = 16  # of the tiny dataset's extractor
STATISTICS = SlatStatistics(mean=(0.1,) * 8, std=(0.5,) * 8)


@pytest.fixture(scope="session")
def encoders() -> ImageEncoders:
    return load_encoders("efficientnet_lite0", image_px=64)


@pytest.fixture(scope="session")
def sizes(encoders: ImageEncoders) -> SystemSizes:
    """Smaller than tiny, for the features of the tiny dataset."""
    small = tiny(replace(encoders.sizes, voxel_channels=FEATURE_CHANNELS))
    trunk = {"model_channels": 32, "num_blocks": 2, "num_heads": 2}
    flow = {"model_channels": 32, "num_blocks": 3, "num_heads": 2, "io_block_channels": (16,)}
    return replace(
        small,
        slat_encoder=replace(small.slat_encoder, **trunk),
        gaussian_decoder=replace(small.gaussian_decoder, **trunk),
        mesh_decoder=replace(small.mesh_decoder, **trunk),
        slat_flow=replace(small.slat_flow, **flow),
        texturer=replace(small.texturer, **{**flow, "num_blocks": 2}),
    )


@pytest.fixture(scope="session")
def weights(sizes: SystemSizes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Networks of former stages that look trained: every weight is off its initial value."""
    folder = tmp_path_factory.mktemp("slat_weights")
    torch.manual_seed(0)
    made: dict[str, nn.Module] = {
        "slat_encoder": SLatEncoder(sizes.slat_encoder),
        "gaussian_decoder": GaussianDecoder(sizes.gaussian_decoder),
        "slat_flow": SLatFlow(sizes.slat_flow),
    }
    for name, network in made.items():
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
        write_network(network, folder / name)
    return {name: folder / name for name in made}


@pytest.fixture
def stage(tiny_data: Path, encoders: ImageEncoders, sizes: SystemSizes, weights: dict[str, Path]) -> Callable[..., Any]:
    """A stage by name; keywords change its recipe, `given` adds networks, `latents` names a table of stored ones."""

    def make(
        name: str, given: dict[str, Path] | None = None, latents: str | None = None, facts: Any = None, **changes: Any
    ) -> Any:
        facts = {"slat_vae": {"slat_normalization": STATISTICS.to_json()}} if facts is None else facts
        data = DataOptions(
            (DataLocation(str(tiny_data)),),
            image_px=encoders.sizes.image_px,
            extractor="tiny",
            latents=latents,
        )
        made = recipe(name, "tiny")
        small = {"max_voxels": 100_000, **({"view_px": 32} if isinstance(made, DecoderRecipe) else {})}
        made = replace(made, **{**small, **changes})
        return make_stage(name, StageContext(made, sizes, data, encoders, {**weights, **(given or {})}, facts))

    return make


@pytest.fixture
def batch(stage: Callable[..., Any]) -> Callable[..., Any]:
    """Samples of a stage's own training source, of each only its first voxels."""

    def make(of: Any, count: int = 2, most_voxels: int = 400) -> Any:
        source = of.source("train")
        return few_voxels(source.collate([source.load(index, epoch=0) for index in range(count)]), most_voxels)

    return make


def few_voxels(batch: Any, most: int) -> Any:
    """The same samples without all but the first voxels of each, a slice at one end of the object."""
    sample_N = batch.coords_N4[:, 0]
    kept = torch.cat([(sample_N == b).nonzero().squeeze(1)[:most] for b in range(len(batch))])
    rows = {"coords_N4": batch.coords_N4[kept], "draws": replace(batch.draws, noise=batch.draws.noise[kept])}
    for name in ("slat_N8", "feats_NC"):
        value = getattr(batch, name)
        rows[name] = None if value is None else value[kept]
    return replace(batch, **rows)
