"""Validation samples are made as training samples are: in the precision of the files, not of the forward pass."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from pipelines.train.data import loader
from pipelines.train.learner import Learner
from pipelines.train.loop_options import loader_options
from pipelines.train.parallel import Parallel
from pipelines.train.validation import Validation
from tests.train.loop.spheres import ALONE, OPTIONS, RECIPE, SphereStage


class Watched:
    """The loader, noting under which precision samples are made."""

    def __init__(self) -> None:
        self.autocast: list[bool] = []
        self.training_batches = loader.training_batches

    def fixed_batches(self, source: Any, indices: Sequence[int], options: Any) -> Iterator[Any]:
        for batch in loader.fixed_batches(source, indices, options):
            self.autocast.append(torch.is_autocast_enabled("cpu"))
            yield batch


def test_validation_samples_are_loaded_once_and_outside_of_the_forward_precision(tmp_path):
    stage, watched = SphereStage(), Watched()
    learner = Learner(Parallel(stage.module(), ALONE, "ddp"), RECIPE, ALONE, torch.bfloat16)
    validation = Validation(stage, watched, loader_options(RECIPE, OPTIONS, ALONE), 3, ALONE)
    first = validation.run(learner)
    assert watched.autocast and not any(watched.autocast), "stored half-precision features cannot be joined under it"
    made = len(watched.autocast)
    assert validation.run(learner) == first and len(watched.autocast) == made
    validation.snapshot(learner, tmp_path / "pictures")
    assert len(watched.autocast) == made
