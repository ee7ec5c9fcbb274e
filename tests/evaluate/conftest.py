"""A tiny dataset of drawn scenes with every objects table, made once a session."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.sharing import made_once

TESTS = Path(__file__).resolve().parents[1]
# Test folders are no packages; these lend their makers.
sys.path[:0] = [str(TESTS / folder) for folder in ("train", "complete", "evaluate", "models")]


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> Path:
    from tiny_dataset import TinySizes, write_tiny_dataset

    sizes = TinySizes(scenes=3, views=2, objects=4, condition_views=1, feature_views=12, rotations=1)
    return made_once(tmp_path_factory, "evaluate_data", lambda folder: write_tiny_dataset(folder, sizes))


@pytest.fixture(scope="session")
def tiny_truth(tiny_data):
    """A `ShardTruth` of the three largest instances a view."""
    from pipelines.evaluate.truth.shards import ShardTruth

    return ShardTruth.open(tiny_data, tiny_data, largest=3, min_ratio=0.002, limit=0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
