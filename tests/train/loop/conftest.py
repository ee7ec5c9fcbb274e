import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.train.distributed import Ranks
from pipelines.train.loop import train_stage
from pipelines.train.stage import StageResult
from tests.train.loop.spheres import OPTIONS, InProcessLoader, SphereStage

ALONE = Ranks(0, 1, torch.device("cpu"))


@pytest.fixture
def train(tmp_path):
    """Train the spheres in `tmp_path/<run>`; keywords go to the stage, `options` to the loop."""

    def run(
        run: str = "run", options: Any = OPTIONS, stop: Any = None, loader: Any = None, **stage: Any
    ) -> StageResult:
        loader = loader or InProcessLoader()
        return train_stage(SphereStage(**stage), loader, options, ALONE, folder(run), stop or threading.Event())

    def folder(run: str = "run") -> Path:
        return tmp_path / run

    run.folder = folder
    return run
