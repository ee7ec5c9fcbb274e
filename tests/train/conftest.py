"""For all training tests: a tiny dataset, made once a session, and the training of a small stage."""

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # test folders are no packages

from tiny_dataset import write_tiny_dataset

from pipelines.train.loop.loop import train_stage
from pipelines.train.outputs.result import StageResult
from tests.sharing import made_once
from tests.train.loop.spheres import ALONE, OPTIONS, RealLoader, SphereStage


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with views, depth estimates and all objects tables; see tiny_dataset.py. Do not write into it."""
    return made_once(tmp_path_factory, "tiny_data", write_tiny_dataset)


@pytest.fixture
def train(tmp_path):
    """Train the spheres in `tmp_path/<run>`; keywords go to the stage, `options` to the loop."""

    def run(
        run: str = "run", options: Any = OPTIONS, stop: Any = None, loader: Any = None, **stage: Any
    ) -> StageResult:
        loader = loader or RealLoader()
        return train_stage(SphereStage(**stage), loader, options, ALONE, folder(run), stop or threading.Event())

    def folder(run: str = "run") -> Path:
        return tmp_path / run

    run.folder = folder
    return run
