import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # test folders are no packages; this one shares its helpers


@pytest.fixture
def photographs():
    """Four noisy pictures in two sizes."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in [(48, 64), (64, 48), (48, 64), (48, 64)]]
