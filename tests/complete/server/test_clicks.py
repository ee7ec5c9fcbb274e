"""Clicks on the page's picture, as its requests."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from visitors import LIMITS, png

from pipelines.complete.server.clicks import Clicker


class Counted:
    """A segmenter that counts how often it looked at a whole image."""

    def __init__(self, segmenter) -> None:
        self._segmenter, self.name, self.embedded = segmenter, segmenter.name, 0

    def embed(self, rgb_HW3):
        self.embedded += 1
        return self._segmenter.embed(rgb_HW3)

    def mask(self, *given):
        return self._segmenter.mask(*given)


@pytest.fixture
def counted(segmenter):
    return Counted(segmenter)


@pytest.fixture
def service(service, counted):
    return replace(service, clicker=Clicker(counted, LIMITS))


def click(client, job, *points):
    return client.post(f"/api/jobs/{job}/click", json={"points": points})


def mask_of(answer) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content))) > 127


def test_a_click_gives_the_segmenters_mask_and_looks_at_the_image_once(visitor, client, scene, segmenter, counted):
    job = visitor.upload()
    embedding, size_px = segmenter.embed(scene.rgb_HW3), scene.rgb_HW3.shape[1::-1]
    for points in ([[80, 50, 1]], [[80, 50, 1], [20, 90, 0]]):
        given = np.array(points, float)
        wanted = segmenter.mask(embedding, size_px, given[:, :2], given[:, 2] == 1)
        np.testing.assert_array_equal(mask_of(click(client, job, *points)), wanted)
    assert counted.embedded == 1
    assert client.get("/api/about").json()["segmenter"] == "sam"


def test_two_users_clicks_stay_with_their_own_images(client, scene, segmenter, visitor):
    other = np.ascontiguousarray(scene.rgb_HW3[::-1])
    jobs = [visitor.upload(), client.post("/api/jobs", content=png(other)).json()["id"]]
    for job, rgb in [*zip(jobs, [scene.rgb_HW3, other], strict=True)] * 2:
        wanted = segmenter.mask(segmenter.embed(rgb), rgb.shape[1::-1], np.array([[30.0, 40.0]]), np.array([True]))
        np.testing.assert_array_equal(mask_of(click(client, job, [30, 40, 1])), wanted)


@pytest.mark.parametrize(
    "body",
    [
        b"nonsense",
        b"[1, 2]",
        b"{}",
        b'{"points": []}',
        b'{"points": [[1, 2]]}',
        b'{"points": [[1, 2, 3]]}',
        b'{"points": [[1, 1000, 1]]}',
        b'{"points": [[NaN, 1, 1]]}',
        b'{"points": [["a", 1, 1]]}',
        b'{"points": {"x": 1}}',
    ],
)
def test_nonsense_clicks_are_refused_in_a_sentence(visitor, client, counted, body):
    answer = client.post(f"/api/jobs/{visitor.upload()}/click", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")
    assert counted.embedded == 0


def test_too_many_clicks_on_one_object_are_refused(visitor, client):
    answer = click(client, visitor.upload(), *[[1, 1, 1]] * (LIMITS.clicks + 1))
    assert (answer.status_code, answer.json()["error"][:22]) == (413, "One object takes 50 cl")


def test_many_people_who_click_at_once_wait_or_are_told_to(visitor, client, service):
    job = visitor.upload()
    room = service.clicker._room
    while room.acquire(blocking=False):  # as many requests wait as may
        pass
    assert click(client, job, [1, 1, 1]).status_code == 429
    room.release()
    assert click(client, job, [1, 1, 1]).status_code == 200
