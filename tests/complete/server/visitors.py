"""What the tests of the server share: its limits here, and a visitor's requests."""

import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image

from pipelines.complete.server.limits import Limits

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


@contextmanager
def listening(service) -> Iterator[str]:
    """Serves it at an address of its own."""
    import uvicorn

    from pipelines.complete.server.app import application

    with socket.create_server(("127.0.0.1", 0)) as place:
        server = uvicorn.Server(uvicorn.Config(application(service), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{place.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
