"""Every random number of a sample, as a function of the seed and of what the number is for.

Generators are made where they are used and kept by no one, so order, workers and resuming cannot change them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

import numpy as np
import torch

from pipelines.train.data.samples import Draws

RotationAxis = Literal["any", "vertical"]


class Stream(IntEnum):
    """What a generator is for; two streams share no numbers."""

    STEP = 0
    SAMPLE = 1
    VIEW = 2
    ORDER = 3
    REPLACEMENT = 4


def generator(seed: int, stream: Stream, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, *key)))


def draw_step(seed: int, epoch: int, index: int, noise_shape: tuple[int, ...]) -> Draws:
    """What the training step needs for one sample."""
    rng = generator(seed, Stream.STEP, epoch, index)
    time, drop = float(rng.standard_normal()), float(rng.random())
    return Draws(time, drop, torch.from_numpy(rng.standard_normal(noise_shape, np.float32)))


def random_rotation(rng: np.random.Generator, axis: RotationAxis = "any") -> np.ndarray:
    """(3, 3) float64, uniform on SO(3), or among those about the vertical: up stays up.

    The matrix of a normalised quaternion of four normal numbers; for the vertical of the first and the last of them.
    """
    quaternion = rng.standard_normal(4)
    if axis == "vertical":
        quaternion[1:3] = 0
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
