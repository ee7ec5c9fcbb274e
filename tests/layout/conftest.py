import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # test folders are no packages; this one shares its shapes

from layout_shapes import MemoryLibrary, solids

from scenegen.config import CameraConfig, DatasetConfig


@pytest.fixture(scope="session")
def library() -> MemoryLibrary:
    return MemoryLibrary(solids())


@pytest.fixture(scope="session")
def config() -> DatasetConfig:
    return DatasetConfig(num_scenes=10, camera=CameraConfig(num_views=3, resolution_px=128))
