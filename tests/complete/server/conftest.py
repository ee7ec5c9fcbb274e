import io
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))  # test folders are no packages; these share their helpers

from pipelines.complete.server.jobs import JobStore
from pipelines.complete.server.limits import Limits
from pipelines.complete.server.worker import Worker

LIMITS = Limits(upload_bytes=400_000, pixels=50_000, instances=5, waiting=2, jobs=6, idle_s=60)


class Clock:
    """Seconds that pass when a test says so."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Visitor:
    """One user's requests."""

    def __init__(self, client, scene) -> None:
        self.client, self.scene = client, scene

    def upload(self) -> str:
        answer = self.client.post("/api/jobs", content=png(self.scene.rgb_HW3))
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def ready(self, instances: tuple[int, ...]) -> str:
        """A job with masks of some spheres and their depth."""
        job = self.upload()
        ids = np.where(np.isin(self.scene.ids_HW, instances), self.scene.ids_HW, 0).astype(np.uint8)
        assert self.client.put(f"/api/jobs/{job}/masks", content=png(ids)).status_code == 200
        assert self.client.put(f"/api/jobs/{job}/depth", content=npy(self.scene.depth_HW)).status_code == 200
        return job

    def complete(self, job: str, **changes):
        return self.client.post(f"/api/jobs/{job}/complete", json={"fov_deg": 50, "guidance": 0, **changes})

    def wait(self, job: str, until=("done", "failed", "cancelled")) -> dict:
        for _ in range(600):
            said = self.client.get(f"/api/jobs/{job}").json()
            if said["state"] in until:
                return said
            time.sleep(0.05)
        raise AssertionError(f"still {said['state']} after 30 s")


def png(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(pipe, tmp_path, clock):
    pytest.importorskip("starlette")
    from pipelines.complete.server.app import Service

    store = JobStore(tmp_path, LIMITS, clock)
    return Service(store, Worker(pipe, None, store, LIMITS), LIMITS, None)


@pytest.fixture
def client(service):
    from starlette.testclient import TestClient

    from pipelines.complete.server.app import application

    with TestClient(application(service)) as client:
        yield client


@pytest.fixture
def visitor(client, scene) -> Visitor:
    return Visitor(client, scene)
