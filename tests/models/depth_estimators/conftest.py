import numpy as np
import pytest


@pytest.fixture
def photographs():
    """Four noisy pictures in two sizes."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in [(48, 64), (64, 48), (48, 64), (48, 64)]]
