"""A small real stage: a rectified flow that learns latents of spheres.

Shapes: B samples, C = 8 channels, R = 4 latent grid edge, X = 3 channels of the condition.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from models.structure_flow import FlowConfig, SparseStructureFlow
from pipelines.flow_matching import FlowPath
from pipelines.train.data import loader
from pipelines.train.interfaces.loading import Batch, LoaderOptions, SampleSource, Split
from pipelines.train.interfaces.stage import LoopRecipe, Losses, TrainingModule
from pipelines.train.loop.options import LoopOptions, loader_options
from pipelines.train.optimisation.distributed import Ranks
from pipelines.train.outputs.checkpoints import Retention

EDGE, WIDTH = 4, 16
ALONE = Ranks(0, 1, torch.device("cpu"))
RECIPE = LoopRecipe(
    steps=4, batch_size=4, learning_rate=2e-3, micro_batch_tokens=2.0, ema_decay=0.9, clip_window=3, warmup_steps=2
)
OPTIONS = LoopOptions(every=2, log_every=1, validation_samples=3, retention=Retention(last=10))


@dataclass(frozen=True)
class SphereBatch:
    latent_BCRRR: Tensor
    noise_BCRRR: Tensor
    context_BMX: Tensor
    time_B: Tensor
    weight_B: Tensor
    index_B: Tensor

    def to(self, device: torch.device, non_blocking: bool = False) -> SphereBatch:
        return SphereBatch(*(value.to(device, non_blocking=non_blocking) for value in vars(self).values()))

    def pin_memory(self) -> SphereBatch:
        return SphereBatch(*(value.pin_memory() for value in vars(self).values()))


@dataclass(frozen=True)
class SphereSource:
    """Sphere i has radius and weight of its own; times and noise follow from (epoch, i)."""

    count: int
    first: int = 0
    edge: int = EDGE

    def __len__(self) -> int:
        return self.count

    def costs(self) -> np.ndarray:
        return np.ones(self.count)

    def load(self, index: int, epoch: int) -> SphereBatch:
        rng = np.random.default_rng((self.first + index, epoch))
        axis = (np.arange(self.edge) + 0.5) / self.edge - 0.5
        distance = np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis)), axis=0)
        radius = 0.1 + 0.05 * (self.first + index)
        shares = np.stack([np.tanh((radius - distance) * (1 + channel)) for channel in range(8)])

        def tensor(values: Any) -> Tensor:
            return torch.as_tensor(np.asarray(values, dtype=np.float32))[None]

        return SphereBatch(
            tensor(shares),
            tensor(rng.standard_normal(shares.shape)),
            tensor(np.full((2, 3), radius)),
            tensor(rng.standard_normal()),
            tensor(1.0 + index % 3),
            torch.tensor([index]),
        )

    def collate(self, samples: Sequence[SphereBatch]) -> SphereBatch:
        return SphereBatch(*(torch.cat([vars(s)[name] for s in samples]) for name in vars(samples[0])))


def flow_config(edge: int = EDGE, width: int = WIDTH, blocks: int = 2) -> FlowConfig:
    shared = {"in_channels": 8, "out_channels": 8, "cond_channels": 3, "qk_rms_norm": True, "patch_size": 1}
    return FlowConfig(resolution=edge, model_channels=width, num_blocks=blocks, num_heads=2, **shared)


class SphereModule(TrainingModule):
    def __init__(self, config: FlowConfig, spoil: frozenset[int] = frozenset(), spoil_gradient: bool = False) -> None:
        super().__init__()
        self.flow = SparseStructureFlow(config)
        for parameter in self.flow.parameters():  # zero-initialised heads would hide half of the network from a test
            nn.init.normal_(parameter, std=0.05)
        self._spoil, self._spoil_gradient = spoil, spoil_gradient

    def blocks(self) -> Iterable[nn.Module]:
        return self.flow.blocks

    def forward(self, batch: SphereBatch) -> Losses:
        path = FlowPath()
        t_B = path.times(batch.time_B)
        x_t = path.interpolate(batch.latent_BCRRR, batch.noise_BCRRR, t_B)
        velocity = self.flow(x_t, 1000 * t_B, batch.context_BMX)
        error_B = (velocity - path.velocity(batch.latent_BCRRR, batch.noise_BCRRR)).square().mean((1, 2, 3, 4))
        spoiled_B = torch.tensor([int(index) in self._spoil for index in batch.index_B])
        if self._spoil_gradient:
            error_B = error_B + torch.where(spoiled_B, 0 * error_B, 1).sqrt() - (~spoiled_B).float()
        else:
            error_B = torch.where(spoiled_B, torch.nan, error_B)
        return Losses(error_B, batch.weight_B, {"velocity": error_B}, t_B)


@dataclass
class SphereStage:
    """`spoil`: samples whose loss, or whose gradient alone, is not a number. `data`: a name for the digest."""

    recipe: LoopRecipe = RECIPE
    name: str = "spheres"
    data: str = "spheres"
    spoil: frozenset[int] = frozenset()
    spoil_gradient: bool = False
    made: list[SphereModule] = field(default_factory=list)

    def source(self, split: Split) -> SampleSource[Any]:
        return SphereSource(10) if split == "train" else SphereSource(3, first=10)

    def module(self) -> SphereModule:
        if not self.made:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.made.append(SphereModule(flow_config(), self.spoil, self.spoil_gradient))
        return self.made[0]

    def networks(self) -> Mapping[str, nn.Module]:
        return {"sphere_flow": self.module().flow}

    def measure(self, module: TrainingModule, batches: Iterable[Batch]) -> Mapping[str, Sequence[float]]:
        """Calls a part of the module, as stages do to draw samples."""
        found: list[float] = []
        for batch in batches:
            assert isinstance(module, SphereModule) and isinstance(batch, SphereBatch)
            drawn = module.flow(batch.noise_BCRRR, torch.full_like(batch.time_B, 1000.0), batch.context_BMX)
            found += drawn.square().mean((1, 2, 3, 4)).tolist()
        return {"power": found}

    def facts(self, module: TrainingModule, batches: Iterable[Batch]) -> dict[str, Any]:
        first = next(iter(batches))
        assert isinstance(first, SphereBatch)
        return {"mean": first.latent_BCRRR.mean().item()}

    def snapshot(self, module: TrainingModule, batch: Batch, folder: Path) -> list[Path]:
        assert isinstance(batch, SphereBatch)
        path = folder / "sphere.png"
        Image.fromarray((127 * (1 + batch.latent_BCRRR[0, 0, EDGE // 2])).byte().numpy()).save(path)
        return [path]

    def describe(self) -> dict[str, Any]:
        return {"data": {"name": self.data}, "seed": 0}


class RealLoader:
    """pipelines/train/data/loader.py, to be extended by tests."""

    def training_batches(
        self, source: SampleSource[Any], options: LoaderOptions, first_step: int
    ) -> Generator[Sequence[Batch], None, None]:
        return loader.training_batches(source, options, first_step)

    def fixed_batches(
        self, source: SampleSource[Any], indices: Sequence[int], options: LoaderOptions
    ) -> Iterator[Batch]:
        return loader.fixed_batches(source, indices, options)


def batch_of_step(step: int, recipe: LoopRecipe = RECIPE) -> SphereBatch:
    """All samples of a training step, stacked."""
    options = replace(loader_options(recipe, OPTIONS, ALONE), micro_batch_tokens=math.inf)
    (batch,) = next(loader.training_batches(SphereSource(10), options, step))
    assert isinstance(batch, SphereBatch)
    return batch
