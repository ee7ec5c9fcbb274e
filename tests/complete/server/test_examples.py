"""Examples as visitors choose them: rows of a dataset with small pictures, and the names of what they show."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipelines.complete.server import examples as module
from pipelines.complete.server.examples import Examples


@pytest.fixture
def service(service, dataset_dir):
    return replace(service, examples=Examples(str(dataset_dir)))


def test_rows_are_listed_some_at_a_time_with_what_they_show(client, monkeypatch) -> None:
    monkeypatch.setattr(module, "PAGE_ROWS", 4)
    first = client.get("/api/examples").json()
    assert first["count"] == 6
    assert first["rows"][3] == {"number": 3, "scene_index": 1, "view_index": 1, "objects": 1}
    rest = client.get("/api/examples?first=4").json()["rows"]
    assert [(row["number"], row["scene_index"]) for row in rest] == [(4, 2), (5, 2)]


def test_a_thumbnail_is_a_small_picture_of_its_row(client, test_images) -> None:
    answer = client.get("/api/examples/3/thumbnail")
    assert answer.headers["content-type"] == "image/webp"
    shown = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).astype(float)
    assert shown.shape == (24, 32, 3)  # smaller than a thumbnail already
    rows = [test_images(10 * scene + view).rgb.astype(float) for scene in range(3) for view in range(2)]
    alike = [np.corrcoef(shown.mean(-1).ravel(), rgb.mean(-1).ravel())[0, 1] for rgb in rows]
    assert np.argmax(alike) == 3 and alike[3] > 0.8  # noise, of which WebP keeps the large part


def test_thumbnails_have_a_largest_side_and_are_made_once(service, client, monkeypatch) -> None:
    monkeypatch.setattr(module, "THUMBNAIL_PX", 16)
    content = client.get("/api/examples/0/thumbnail").content
    assert Image.open(io.BytesIO(content)).size == (16, 12)
    monkeypatch.setattr(service.examples._dataset, "view", None)
    assert client.get("/api/examples/0/thumbnail").content == content


@pytest.mark.parametrize("path", ["?first=6", "?first=-1", "?first=x", "/6/thumbnail", f"/{10**30}/thumbnail"])
def test_rows_that_there_are_not_are_refused(client, path) -> None:
    answer = client.get(f"/api/examples{path}")
    assert answer.status_code in (400, 404)
    assert answer.json()["error"].endswith(".")


@pytest.mark.parametrize("path", ["/api/examples/6", "/api/examples/0?depth=sonar"])
def test_examples_or_depths_that_there_are_not_are_refused(client, path) -> None:
    answer = client.post(path)
    assert answer.status_code == 404
    assert answer.json()["error"].startswith(("There are examples 0 to 5", "The examples have depth from gt"))


def test_an_opened_row_names_its_objects_and_says_what_its_depth_is(client) -> None:
    job = client.post("/api/examples/2").json()
    assert job["names"] == {"3": "asset/3"}  # the other one cannot be seen, and its number is free
    assert job["depth_note"] == "exact, in metres"


def test_a_server_without_a_dataset_says_so(service) -> None:
    from starlette.testclient import TestClient

    from pipelines.complete.server.app import application

    with TestClient(application(replace(service, examples=None)), "http://localhost") as client:
        for answer in (
            client.get("/api/examples"),
            client.get("/api/examples/0/thumbnail"),
            client.post("/api/examples/0"),
        ):
            assert answer.status_code == 404
            assert "without --shards" in answer.json()["error"]
