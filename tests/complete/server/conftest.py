import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # test folders are no packages; these share their helpers

from browser import Browser, find_chromium
from visitors import LIMITS, Clock, Visitor, listening

from pipelines.complete.server.jobs import JobStore
from pipelines.complete.server.worker import Worker


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(pipe, tmp_path, clock):
    pytest.importorskip("starlette")
    from pipelines.complete.server.service import Service

    store = JobStore(tmp_path, LIMITS, clock)
    return Service(store, Worker(pipe, None, store, LIMITS), LIMITS)


@pytest.fixture
def client(service):
    from starlette.testclient import TestClient

    from pipelines.complete.server.app import application

    with TestClient(application(service), base_url="http://localhost") as client:
        yield client


@pytest.fixture(scope="session")
def segmenter(tmp_path_factory):
    """A Segment Anything network with random weights."""
    pytest.importorskip("transformers")
    from tiny_sam import write_tiny_sam

    from pipelines.complete.compute_device import ComputeDevice
    from pipelines.complete.inputs.segment_anything import Segmenter

    return Segmenter.from_pretrained(
        str(write_tiny_sam(tmp_path_factory.mktemp("s") / "sam")), ComputeDevice.choose("cpu")
    )


@pytest.fixture
def visitor(client, scene) -> Visitor:
    return Visitor(client, scene)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    program = find_chromium()
    if program is None:
        pytest.skip("there is no Chromium here to look at the page with: apt-get install chromium")
    browser = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def address(service):
    """Of the service behind a real socket."""
    pytest.importorskip("uvicorn")
    with listening(service) as address:
        yield address
