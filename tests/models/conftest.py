import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # test folders are no packages; this one shares its small networks


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small networks gain nothing from threads, and spconv's CPU kernels race with more than one."""
    torch.set_num_threads(1)
