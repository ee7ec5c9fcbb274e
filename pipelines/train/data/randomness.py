"""Random numbers as functions of the seed and of what they are for.

Generators are made where they are used and never kept, so that order, workers and resuming cannot change them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

import numpy as np
import torch

from pipelines.train.data.samples import Draws

RotationAxis = Literal["any", "vertical"]


class Stream(IntEnum):
    """The purpose of a generator; two streams share no numbers."""

    STEP = 0
    SAMPLE = 1
    VIEW = 2
    ORDER = 3
    REPLACEMENT = 4


def generator(seed: int, stream: Stream, *key: int) -> np.random.Generator:
    """A generator of its own for each seed, purpose and key, such as (epoch, sample)."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, *key)))


def draw_step(seed: int, epoch: int, index: int, noise_shape: tuple[int, ...]) -> Draws:
    """The random numbers that the training step needs for one sample. noise_shape: of its latent."""
    rng = generator(seed, Stream.STEP, epoch, index)
    time, drop = float(rng.standard_normal()), float(rng.random())
    return Draws(time, drop, torch.from_numpy(rng.standard_normal(noise_shape, np.float32)))


def random_rotation(rng: np.random.Generator, axis: RotationAxis = "any") -> np.ndarray:
    """(3, 3) float64: a random rotation, uniform on SO(3), or about the vertical (z) axis alone.

    Made from a quaternion of four normal numbers, normalised; for the vertical axis only the first and the last.
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
