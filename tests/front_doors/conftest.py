import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "complete")]  # test folders are no packages; their helpers are shared


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory) -> Path:
    """A folder with a dataset in data/: a view of five spheres, and what is known of an asset."""
    from small_dataset import write_objects, write_view

    folder = tmp_path_factory.mktemp("readme")
    (folder / "data").mkdir()
    write_view(folder / "data")
    write_objects(folder / "data")
    return folder
