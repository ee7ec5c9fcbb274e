"""Samples are made in the precision of the files, whatever precision the caller computes in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pipelines.train.data import loader
from pipelines.train.loop.options import loader_options
from tests.train.loop.spheres import ALONE, OPTIONS, RECIPE, SphereSource


@dataclass(frozen=True)
class StoredHalves(SphereSource):
    """Samples whose stored features are joined as half-precision ones, which autocast on the CPU refuses."""

    def collate(self, samples: Sequence[Any]) -> Any:
        torch.cat([sample.latent_BCRRR.half() for sample in samples])
        return super().collate(samples)


def test_samples_can_be_asked_for_under_autocast():
    options = loader_options(RECIPE, OPTIONS, ALONE)
    with torch.autocast("cpu", torch.bfloat16):
        assert [*loader.fixed_batches(StoredHalves(6), [0, 3], options)]
        assert next(loader.training_batches(StoredHalves(6), options, 0))
        assert torch.is_autocast_enabled("cpu")
