"""A small dataset, and each export of it that tests ask for, made once."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scenegen.cli import main
from scenegen.contract.dataset import Dataset
from scenegen.contract.records import View

sys.path.insert(0, str(Path(__file__).parent))  # test folders are no packages


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes of two views."""
    from cast_scenes import write_dataset

    folder = tmp_path_factory.mktemp("export") / "data"
    folder.mkdir()
    write_dataset(folder, scenes=2)
    return folder


@pytest.fixture(scope="session")
def views(data: Path) -> dict[tuple[int, int], View]:
    """What the dataset holds, by scene and view."""
    dataset = Dataset.open(data)
    found = [dataset.view(number) for number in range(len(dataset))]
    return {(view.scene_index, view.view_index): view for view in found}


Export = Callable[..., Path]


@pytest.fixture(scope="session")
def exported(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """exported("coco", "--amodal-masks"): the folder of an export of the whole dataset, made once."""
    made: dict[tuple[str, ...], Path] = {}

    def export(*words: str) -> Path:
        if words not in made:
            out = tmp_path_factory.mktemp("out") / words[0]
            line = ["export", "--data", str(data), "--out", str(out), "--workers", "1", "--format", *words]
            assert main(line) == 0
            made[words] = out
        return made[words]

    return export
