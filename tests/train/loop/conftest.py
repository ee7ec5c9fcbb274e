import threading
from pathlib import Path
from typing import Any

import pytest

from pipelines.train.loop.loop import train_stage
from pipelines.train.outputs.result import StageResult
from tests.train.loop.spheres import ALONE, OPTIONS, RealLoader, SphereStage


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
