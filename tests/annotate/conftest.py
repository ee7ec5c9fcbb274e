import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # test folders are no packages; this one shares its helpers


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tiny networks are slower with more."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)


@pytest.fixture
def photographs():
    """Four noisy pictures in two sizes."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in [(48, 64), (64, 48), (48, 64), (48, 64)]]
