import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

FOLDER = Path(__file__).parent
# Test folders are no packages; their helpers are shared.
sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "shards"), str(FOLDER.parent / "contract")]

if TYPE_CHECKING:
    from local_hub import LocalHub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory) -> "Iterator[LocalHub]":
    """A hub on this machine, which huggingface_hub takes for the hub, with the token of its one user."""
    constants = pytest.importorskip("huggingface_hub.constants")
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars
    from local_hub import TOKEN, LocalHub

    server = LocalHub()
    for name, value in (
        ("ENDPOINT", server.url),
        ("HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"),
        ("HF_HUB_OFFLINE", False),
        ("HF_HUB_DISABLE_XET", True),
        ("HF_HUB_CACHE", str(tmp_path_factory.mktemp("hub-cache"))),
    ):
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", server.url)  # of processes that are started
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    disable_progress_bars()
    yield server
    enable_progress_bars()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A finished dataset in three shards, with depth sidecars and objects tables. Tests that change it copy it."""
    from whole_dataset import write_dataset

    folder = tmp_path_factory.mktemp("finished") / "data"
    write_dataset(folder)
    return folder
