"""All randomness of a dataset: one generator for each (seed, scene, stage) and each (seed, asset, stage)."""

import hashlib
from enum import IntEnum

import numpy as np


class Stage(IntEnum):
    """The stages of a scene. Each has a random stream of its own, so that a change in one does not affect others."""

    ROOM = 0
    LIGHT = 1
    ASSETS = 2
    PLACEMENT = 3
    CAMERAS = 4
    RENDER = 5


class AssetStage(IntEnum):
    """The stages of an asset that is rendered alone."""

    CONDITION_VIEWS = 0
    FEATURE_VIEWS = 1
    ROTATIONS = 2


def rng_for(dataset_seed: int, scene_index: int, stage: Stage) -> np.random.Generator:
    """The generator of one stage of one scene. Seed 0 is a seed like any other."""
    return np.random.default_rng(np.random.SeedSequence(dataset_seed, spawn_key=(scene_index, int(stage))))


def rng_for_asset(seed: int, uid: str, stage: AssetStage) -> np.random.Generator:
    """The generator of one stage of one asset; it does not depend on the dataset."""
    key = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:16], "little")
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key, int(stage))))
