"""Noise that depends on the seed, the instance and the step alone, not on who else is in the batch or on the device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipelines.complete.results import STEPS, Step


def instance_seed(seed: int, instance_id: int) -> int:
    """What the report gives for an instance: 32 bits from the scene's seed and its id."""
    return int(np.random.SeedSequence(seed, spawn_key=(instance_id,)).generate_state(1)[0])


def draw_noise(shape: tuple[int, ...], seed: int, instance_id: int, step: Step) -> Tensor:
    """Standard normal float32 on the CPU."""
    key = (instance_id, STEPS.index(step))
    state = np.random.SeedSequence(seed, spawn_key=key).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(state[0]) & (2**63 - 1))
    return torch.randn(shape, generator=generator)
