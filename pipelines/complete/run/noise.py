"""The noise that a flow starts from.

It depends on the seed, the instance and the step alone: not on the other instances of the batch, nor on the device.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipelines.complete.results import STEPS, Step


def instance_seed(seed: int, instance_id: int) -> int:
    """The seed that the report names for an instance: 32 bits from the seed of the scene and the instance's id."""
    return int(np.random.SeedSequence(seed, spawn_key=(instance_id,)).generate_state(1)[0])


def draw_noise(shape: tuple[int, ...], seed: int, instance_id: int, step: Step) -> Tensor:
    """Standard normal float32 of this shape, on the CPU."""
    key = (instance_id, STEPS.index(step))
    state = np.random.SeedSequence(seed, spawn_key=key).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(state[0]) & (2**63 - 1))
    return torch.randn(shape, generator=generator)
