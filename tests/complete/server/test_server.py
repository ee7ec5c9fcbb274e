"""The web page's server as its users and its abusers meet it."""

import io
import json
import struct
import threading
import zlib

import numpy as np
import pytest
import trimesh
from PIL import Image
from visitors import npy, png

from pipelines.complete.export.stages import exposed_faces
from pipelines.complete.server import uploads
from pipelines.complete.server.limits import MISTAKE, Limits, Refused

RUNS_AND_POLYGONS = (
    b'{"annotations": [{"id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]]}, {"id": 2, "segmentation": {"size": [40, 60], '
    b'"counts": [5, 20, 2375]}}]}'
)


def bomb(width: int, height: int) -> bytes:
    """A valid PNG header of an image that would fill the memory; its pixels are not there."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def test_an_image_with_masks_and_depth_becomes_a_scene_in_four_stages(visitor, client) -> None:
    job = visitor.ready((1, 3))
    assert visitor.complete(job).status_code == 202
    said = visitor.wait(job)
    assert said["state"] == "done", said
    assert said["stages"] == ["seen", "coarse", "fine", "result"]
    assert {i: one["state"] for i, one in said["objects"].items()} == {"1": "completed", "3": "completed"}
    scene = client.get(f"/api/jobs/{job}/files/result.glb")
    assert scene.headers["content-type"] == "model/gltf-binary"
    loaded = trimesh.load_scene(io.BytesIO(scene.content), file_type="glb")
    assert set(loaded.graph.nodes_geometry) == {"instance_001", "instance_003"}
    assert client.get(f"/api/jobs/{job}/files/splats.ply").content.startswith(b"ply")
    report = client.get(f"/api/jobs/{job}/files/report.json").json()
    assert report["system"] == "random weights, never trained (tests)"


def test_the_seen_stage_lies_where_the_spheres_are(visitor, client, scene) -> None:
    job = visitor.ready((1,))
    visitor.complete(job, steps=1)
    visitor.wait(job)
    glb = client.get(f"/api/jobs/{job}/files/seen.glb").content
    points = trimesh.load_scene(io.BytesIO(glb), file_type="glb").to_geometry().vertices
    world = np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)  # y up -> z up
    assert np.abs(scene.surface_distance(1, world)).max() < 0.1


def test_two_users_at_once_get_their_own_results(visitor, client) -> None:
    wanted = {(1,): None, (2, 4): None}

    def use(instances: tuple[int, ...]) -> None:
        job = visitor.ready(instances)
        assert visitor.complete(job, steps=1).status_code == 202
        wanted[instances] = (job, visitor.wait(job))

    users = [threading.Thread(target=use, args=(instances,)) for instances in wanted]
    for user in users:
        user.start()
    for user in users:
        user.join()
    (first, said_first), (second, said_second) = wanted.values()
    assert first != second
    assert list(said_first["objects"]) == ["1"]
    assert list(said_second["objects"]) == ["2", "4"]
    files = [client.get(f"/api/jobs/{job}/files/report.json").json() for job in (first, second)]
    assert [sorted(one["instances"]) for one in files] == [["1"], ["2", "4"]]


def test_one_completed_and_one_skipped_instance_are_both_told(visitor, client, scene) -> None:
    job = visitor.ready((1,))
    ids = np.where(scene.ids_HW == 1, 1, 0).astype(np.uint8)
    ids[0:2, 0:2] = 7  # no depth there
    client.put(f"/api/jobs/{job}/masks", content=png(ids))
    visitor.complete(job, steps=1)
    objects = visitor.wait(job)["objects"]
    assert objects["1"]["state"] == "completed"
    assert objects["7"]["state"] == "skipped"
    assert objects["7"]["reason"]


def test_a_job_is_cancelled_between_two_sampler_steps_and_the_next_one_runs(visitor, client) -> None:
    job = visitor.ready((1, 2))
    visitor.complete(job, steps=100)
    visitor.wait(job, until=("running",))
    assert visitor.complete(job).status_code == 409
    client.post(f"/api/jobs/{job}/cancel")
    assert visitor.wait(job)["state"] == "cancelled"
    assert client.get(f"/api/jobs/{job}/files/result.glb").status_code == 404
    assert visitor.complete(job, steps=1).status_code == 202
    assert visitor.wait(job)["state"] == "done"


def test_a_full_queue_says_so_and_a_waiting_job_leaves_it_at_once(visitor, client) -> None:
    jobs = [visitor.ready((1,)) for _ in range(4)]
    visitor.complete(jobs[0], steps=100)
    visitor.wait(jobs[0], until=("running",))
    assert [visitor.complete(job).status_code for job in jobs[1:]] == [202, 202, 429]
    assert client.get(f"/api/jobs/{jobs[2]}").json()["jobs_before"] == 1
    assert client.post(f"/api/jobs/{jobs[1]}/cancel").json()["state"] == "cancelled"
    assert visitor.complete(jobs[3]).status_code == 202
    for job in jobs:
        client.delete(f"/api/jobs/{job}")
    assert client.get(f"/api/jobs/{jobs[0]}").status_code == 404


def test_an_expired_job_and_its_folder_are_gone(visitor, client, clock, tmp_path) -> None:
    job = visitor.upload()
    assert (tmp_path / job).is_dir()
    clock.now_s += 61
    answer = client.get(f"/api/jobs/{job}")
    assert answer.status_code == 404
    assert "expired" in answer.json()["error"]
    assert not (tmp_path / job).exists()


def test_there_are_only_so_many_jobs(visitor, client, scene) -> None:
    for _ in range(6):
        visitor.upload()
    answer = client.post("/api/jobs", content=png(scene.rgb_HW3))
    assert answer.status_code == 429
    assert "try again" in answer.json()["error"]


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"x" * 400_001, 413, "0.4 MB"),
        (bomb(30_000, 30_000), 413, "more pixels"),
        (bomb(1000, 900), 413, "1000 x 900"),
        (b"", 415, "no image"),
        (b"<svg onload='alert(1)'/>", 415, "no image"),
        (bomb(100, 100), 400, "cannot be used"),
    ],
    ids=["too large", "bomb", "too many pixels", "empty", "no image", "truncated"],
)
def test_what_is_no_image_or_too_large_is_refused_in_a_sentence(client, tmp_path, content, status, said) -> None:
    answer = client.post("/api/jobs", content=content)
    assert answer.status_code == status
    assert said in answer.json()["error"]
    assert str(tmp_path) not in answer.text
    assert not any(tmp_path.iterdir())


def test_an_upload_without_a_length_is_counted_while_it_comes(client) -> None:
    sent = []

    def endless():
        for _ in range(100):
            sent.append(1)
            yield b"x" * 10_000

    assert client.post("/api/jobs", content=endless()).status_code == 413


@pytest.mark.parametrize(
    "content",
    [
        b'{"annotations": [{"id": 1, "segmentation": {"size": [112, 176], "counts": [5, -5, 19712]}}]}',
        b'{"annotations": [{"id": 1, "segmentation": {"size": [112, 176], "counts": [3]}}]}',
        b'{"annotations": [{"id": 1, "segmentation": {"size": [112, 176], "counts": "oooooooooooooooooooooooo"}}]}',
        b'{"annotations": [{"id": -4, "segmentation": [[0, 0, 9, 0, 9, 9]]}]}',
        b'{"annotations": [{"id": 1, "segmentation": [["a", "b", "c", "d", "e", "f"]]}]}',
        b'{"annotations": [{"id": 1, "segmentation": [[1e400, 0, 9, 0, 9, 9]]}]}',
        b'{"annotations": 3}',
        b"[" * 100_000,
        b"{}",
        b"nonsense",
    ],
)
def test_nonsense_masks_are_refused_and_change_nothing(visitor, client, content) -> None:
    job = visitor.ready((2,))
    before = client.get(f"/api/jobs/{job}/masks").content
    answer = client.put(f"/api/jobs/{job}/masks", content=content)
    assert answer.status_code in (400, 413, 415), answer.text
    assert answer.json()["error"]
    assert client.get(f"/api/jobs/{job}/masks").content == before


def test_masks_of_another_size_and_too_many_of_them_are_refused(visitor, client) -> None:
    job = visitor.upload()
    answer = client.put(f"/api/jobs/{job}/masks", content=png(np.ones((10, 10), np.uint8)))
    assert "10x10" in answer.json()["error"]
    many = np.broadcast_to(np.arange(176) // 20, (112, 176))
    assert client.put(f"/api/jobs/{job}/masks", content=png(many.astype(np.uint8))).status_code == 413


def test_polygons_and_run_lengths_come_back_as_the_ids_that_the_page_reads(visitor, client) -> None:
    job = visitor.upload()
    runs = '{"id": 300, "segmentation": {"size": [112, 176], "counts": [0, 112, 19600]}}'
    square = '{"id": 2, "segmentation": [[10, 10, 19, 10, 19, 19, 10, 19]]}'
    assert client.put(f"/api/jobs/{job}/masks", content=f'{{"annotations": [{runs}, {square}]}}').status_code == 200
    rgb = np.asarray(Image.open(io.BytesIO(client.get(f"/api/jobs/{job}/masks").content))).astype(int)
    ids = rgb[..., 0] + 256 * rgb[..., 1]
    assert (ids[:, 0] == 300).all()
    assert (ids[10:20, 10:20] == 2).all()
    assert np.count_nonzero(ids) == 112 + 100


def test_coco_ids_beyond_what_an_image_holds_are_counted_and_it_is_said(visitor, client) -> None:
    job = visitor.upload()
    squares = [
        {"id": number, "segmentation": [[x, 10, x + 9, 10, x + 9, 19, x, 19]]}
        for number, x in ((900_100_4, 10), (0, 40))
    ]
    content = b"\xef\xbb\xbf" + json.dumps({"annotations": squares}).encode()
    assert client.put(f"/api/jobs/{job}/masks", content=content).status_code == 200
    rgb = np.asarray(Image.open(io.BytesIO(client.get(f"/api/jobs/{job}/masks").content))).astype(int)
    assert np.unique(rgb[..., 0] + 256 * rgb[..., 1]).tolist() == [0, 1, 2]
    assert "counted from 1" in " ".join(client.get(f"/api/jobs/{job}").json()["mask_notes"])


@pytest.mark.parametrize(
    "content",
    [
        b"\x93NUMPY\x01\x00\x46\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000)}\n"
        + b"\0" * 64,
        b"\x93NUMPY\x01\x00\x36\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n" + b"\0" * 8,
        b"PK\x03\x04 a zip",
        b"\x89PNG broken",
    ],
)
def test_depth_that_lies_about_itself_is_refused(visitor, client, content) -> None:
    job = visitor.upload()
    answer = client.put(f"/api/jobs/{job}/depth", content=content)
    assert answer.status_code in (400, 413, 415), answer.text


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"fov_deg": 500}, "The field of view in degrees must be from 1 to 179"),
        ({"fov_deg": None}, "camera is unknown"),
        ({"steps": 10_000}, "The number of steps must be from 1 to 100"),
        ({"guidance": 10**400}, "The guidance must be a number"),
        ({"seed": True}, "The seed must be a number"),
        ({"camera": "x"}, "no camera"),
        ({"seed": "x"}, "The seed must be a number"),
        ({"depth": "estimated"}, "no depth estimator"),
        ({"camera": {"K_px": [[0]]}}, "no camera"),
    ],
)
def test_impossible_settings_are_refused(visitor, values, said) -> None:
    answer = visitor.complete(visitor.ready((1,)), **values)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_without_a_segmenter_a_click_is_told_to_draw(visitor, client) -> None:
    answer = client.post(f"/api/jobs/{visitor.upload()}/click", json={"points": [[1, 1, 1]]})
    assert answer.status_code == 404
    assert "draw the mask" in answer.json()["error"]


def test_unknown_addresses_and_methods_are_answered_in_the_form_of_all_errors(client) -> None:
    for answer, status in ((client.get("/api/nothing"), 404), (client.delete("/api/about"), 405)):
        assert (answer.status_code, answer.json()["error"][-1]) == (status, ".")
        assert "content-security-policy" in answer.headers


def test_a_mistake_of_ours_is_a_sentence_and_goes_to_the_log(service, monkeypatch) -> None:
    from starlette.testclient import TestClient

    from pipelines.complete.server.app import application

    monkeypatch.setattr(service.store, "create", lambda: 1 / 0)
    with TestClient(application(service), "http://localhost", raise_server_exceptions=False) as client:
        answer = client.post("/api/jobs", content=b"anything")
    assert (answer.status_code, answer.json()) == (500, {"error": MISTAKE})


@pytest.mark.parametrize("name", ["../ids.npy", "ids.npy", "%2e%2e%2fids.npy", "rgb.npy", "image"])
def test_only_results_can_be_fetched(visitor, client, name) -> None:
    job = visitor.ready((1,))
    assert client.get(f"/api/jobs/{job}/files/{name}").status_code == 404
    assert client.get(f"/page/{name}").status_code == 404


def test_other_sites_may_not_frame_the_page(client) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_a_cube_of_voxels_shows_its_outer_sides_alone_and_they_look_outwards() -> None:
    voxels = np.stack(np.meshgrid(*[np.arange(30, 33)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    vertices, normals, faces = exposed_faces(voxels.astype(np.uint8))
    mesh = trimesh.Trimesh(vertices, faces)
    assert len(faces) == 2 * 6 * 9
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx((3 / 64) ** 3)
    np.testing.assert_allclose(mesh.face_normals, normals[faces[:, 0]], atol=1e-6)
    np.testing.assert_allclose(mesh.bounds, [[30 / 64 - 0.5] * 3, [33 / 64 - 0.5] * 3])


def test_damaged_files_are_refused_whatever_is_wrong_with_them(tmp_path) -> None:
    """Some thousand of them; nothing but a refusal comes out, and it names no folder of ours."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 4, (40, 60)).astype(np.uint8)
    depth = rng.random((40, 60)).astype(np.float32)
    limits = Limits()
    kinds = [
        (png(np.dstack([ids] * 3)), lambda content: uploads.image_from(content, tmp_path, limits)),
        (png(ids), lambda content: uploads.masks_from(content, (60, 40), tmp_path, limits)),
        (RUNS_AND_POLYGONS, lambda content: uploads.masks_from(content, (60, 40), tmp_path, limits)),
        (npy(depth), lambda content: uploads.depth_from(content, (60, 40), "m", tmp_path, limits)),
    ]
    refused = 0
    for number in range(2000):
        content, read = kinds[number % len(kinds)]
        damaged = bytearray(content)
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(min(len(damaged), 120)))  # headers are where it hurts
            damaged[place : place + int(rng.integers(0, 3))] = rng.bytes(int(rng.integers(0, 3)))
        try:
            read(bytes(damaged))
        except Refused as error:
            refused += 1
            assert str(tmp_path) not in str(error)
    assert refused > 500
