import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # test folders are no packages; this one shares its small networks


@pytest.fixture
def single_thread():
    """spconv's CPU kernels are right with one thread only."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
