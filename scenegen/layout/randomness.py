"""The only door through which randomness enters a scene: one generator for each (seed, scene, stage)."""

from enum import IntEnum

import numpy as np


class Stage(IntEnum):
    """Stages draw from streams of their own, so that a change in one leaves the others as they were."""

    ROOM = 0
    LIGHT = 1
    ASSETS = 2
    PLACEMENT = 3
    CAMERAS = 4
    RENDER = 5


def rng_for(dataset_seed: int, scene_index: int, stage: Stage) -> np.random.Generator:
    """The generator of one stage of one scene. Seed 0 is a seed like any other."""
    return np.random.default_rng(np.random.SeedSequence(dataset_seed, spawn_key=(scene_index, int(stage))))
