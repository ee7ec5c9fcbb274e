"""A tiny dataset for all training tests, made once a session; and the makers on the path."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # test folders are no packages

from tiny_dataset import write_tiny_dataset


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with views, depth estimates and all objects tables; see tiny_dataset.py. Do not write into it."""
    return write_tiny_dataset(tmp_path_factory.mktemp("tiny_data"))
