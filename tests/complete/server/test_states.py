"""What a page is told while a scene is completed: how far each object is, and what was assumed of the depth."""

import numpy as np
import pytest
from visitors import npy, png

from pipelines.complete.inputs.depth_units import UNITS_M
from pipelines.complete.results import ColouredMesh, InstanceCompletion
from pipelines.complete.server.jobs import Job, JobObject
from pipelines.complete.server.page_routes import PAGE
from pipelines.complete.server.recorder import Recorder
from pipelines.errors import PipelineError

VOXELS = np.zeros((1, 3), np.uint8)
MESH = ColouredMesh(np.zeros((3, 3), np.float32), np.zeros((1, 3), np.int64), None)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({}, JobObject("waiting")),
        ({"partial_V3": VOXELS}, JobObject("seen")),
        ({"partial_V3": VOXELS, "coarse_V3": VOXELS}, JobObject("coarse")),
        ({"partial_V3": VOXELS, "coarse_V3": VOXELS, "fine_V3": VOXELS}, JobObject("fine")),
        ({"fine_V3": VOXELS, "mesh": MESH, "cut_by_border": True}, JobObject("completed", faces=1, cut_by_border=True)),
    ],
)
def test_an_object_is_as_far_as_what_is_known_of_it(tmp_path, known, said) -> None:
    job = Job("id", tmp_path, objects={"2": JobObject(), "5": JobObject()})
    Recorder(job, "title").found(InstanceCompletion(5, "completed", **known))
    assert job.objects == {"2": JobObject(), "5": said}


def test_a_skipped_object_says_why_at_once(tmp_path) -> None:
    job = Job("id", tmp_path)
    Recorder(job, "title").found(InstanceCompletion(5, "skipped", reason="no depth", partial_V3=VOXELS))
    assert job.objects == {"5": JobObject("skipped", "no depth")}


def test_all_objects_wait_from_the_start_and_end_with_a_cancelled_job(visitor, client) -> None:
    jobs = [visitor.ready((1, 3)) for _ in range(2)]
    for job in jobs:
        visitor.complete(job, steps=100)
    waiting = client.get(f"/api/jobs/{jobs[1]}").json()["objects"]
    assert {i: one["state"] for i, one in waiting.items()} == {"1": "waiting", "3": "waiting"}
    for job in reversed(jobs):
        client.post(f"/api/jobs/{job}/cancel")
    for job in jobs:
        assert {one["state"] for one in visitor.wait(job)["objects"].values()} == {"cancelled"}


@pytest.mark.parametrize(("error", "said"), [(PipelineError("no memory"), "no memory"), (ValueError("x"), "mistake")])
def test_the_objects_of_a_job_that_fails_fail_with_its_reason(visitor, service, monkeypatch, error, said) -> None:
    job = visitor.ready((1, 3))

    class Failing:
        networks = service.worker.pipe.networks

        def __call__(self, *_, on_found, **__):
            on_found(InstanceCompletion(3, "skipped", reason="no depth"))
            raise error

    monkeypatch.setattr(service.worker, "pipe", Failing())
    visitor.complete(job)
    objects = visitor.wait(job)["objects"]
    assert objects["3"] == {"state": "skipped", "reason": "no depth", "faces": 0, "cut_by_border": False}
    assert objects["1"]["state"] == "failed"
    assert said in objects["1"]["reason"]


def put_depth(client, job: str, content: bytes, unit: str = ""):
    return client.put(f"/api/jobs/{job}/depth?unit={unit}", content=content)


@pytest.mark.parametrize(
    ("unit", "said", "nearest_m"),
    [
        ("", "depth taken as mm", 3.48),
        ("mm", "3.48 to", 3.48),
        ("scannet", "3.48 to", 3.48),
        ("tum", "0.696 to", 0.696),
        ("0.002", "6.96 to", 6.96),
    ],
)
def test_a_depth_png_without_a_unit_is_in_millimetres_and_the_page_says_so(
    visitor, client, service, scene, unit, said, nearest_m
) -> None:
    job = visitor.upload()
    millimetres = np.nan_to_num(scene.depth_HW * 1000).astype(np.uint16)
    answer = put_depth(client, job, png(millimetres), unit)
    assert answer.status_code == 200, answer.text
    assert answer.json()["depth_note"].startswith(said)
    assert np.nanmin(service.store.get(job).load("depth")) == pytest.approx(nearest_m, rel=5e-3)


@pytest.mark.parametrize(
    ("metres", "unit", "said"),
    [
        (4.0, "m", "the depth cannot be meant: with 1 m a unit"),
        (0.4, "furlong", "'furlong' is no unit of depth"),
        (0.4, "-1", "must be positive"),
        (0.4, "nan", "must be positive"),
    ],
)
def test_a_unit_that_cannot_be_meant_is_refused_and_changes_nothing(visitor, client, metres, unit, said) -> None:
    job = visitor.upload()
    answer = put_depth(client, job, png(np.full((112, 176), 1000 * metres, np.uint16)), unit)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert not client.get(f"/api/jobs/{job}").json()["has_depth"]


def test_depth_of_no_pixel_is_said(visitor, client) -> None:
    answer = put_depth(client, visitor.upload(), npy(np.full((112, 176), np.nan, np.float32)))
    assert answer.json()["depth_note"] == "no pixel of it has depth"


def test_what_was_assumed_of_masks_is_said_without_our_folders(visitor, client, scene, tmp_path) -> None:
    job = visitor.upload()
    small = scene.ids_HW[::2, ::2].astype(np.uint8)
    answer = client.put(f"/api/jobs/{job}/masks", content=png(small)).json()
    assert "88x56" in answer["mask_notes"][0]
    assert str(tmp_path) not in answer["mask_notes"][0]
    assert answer["mask_parts"] == 0  # several masks already


def test_run_lengths_that_would_fill_the_memory_are_refused_unread(visitor, client) -> None:
    runs = {"size": ["112000", 176000], "counts": [0, 112000 * 176000]}  # as the image, a million times
    answer = client.put(f"/api/jobs/{visitor.upload()}/masks", json=[{"id": 1, "segmentation": runs}])
    assert answer.status_code == 413
    assert "176000 x 112000 pixels" in answer.json()["error"]


def test_the_page_offers_every_unit_that_the_reader_knows() -> None:
    page = (PAGE / "index.html").read_text()
    assert [name for name in UNITS_M if f'<option value="{name}">' not in page] == []
