"""A tiny dataset for all training tests, made once; and the makers on the path."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # test folders are no packages

from tiny_dataset import write_tiny_dataset

from tests.sharing import made_once


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with views, depth estimates and all objects tables; see tiny_dataset.py. Do not write into it."""
    return made_once(tmp_path_factory, "tiny_data", write_tiny_dataset)
