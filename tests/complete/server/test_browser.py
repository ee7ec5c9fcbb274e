"""The page as people use it: in a real browser, at a real server, with networks of random weights."""

import json
from dataclasses import replace

import httpx2
import numpy as np
import pytest
import trimesh
from browser import FOREIGN_NAME
from PIL import Image
from visitors import LIMITS, Visitor, listening, npy, png

from pipelines.complete.pipeline import FixerPipeline
from pipelines.complete.server.clicks import Clicker
from pipelines.complete.server.examples import Examples
from pipelines.complete.server.worker import Worker

STAGES = ("seen", "coarse", "fine", "result")
TITLE = "random weights, never trained (tests)"


@pytest.fixture
def service(service, segmenter, dataset_dir):
    """With everything that a server may have."""
    return replace(service, clicker=Clicker(segmenter, LIMITS), examples=Examples.of(str(dataset_dir)))


@pytest.fixture
def page(browser, address):
    page = browser.open(address)
    page.wait("window.fixer")
    yield page
    assert page.problems() == []
    assert {url.split("/")[2] for url in page.requests() if url.startswith("http")} == {address.split("/")[2]}


def upload(page, tmp_path, scene, name="image") -> None:
    image, depth = tmp_path / f"{name}.png", tmp_path / f"{name}.npy"
    image.write_bytes(png(scene.rgb_HW3))
    depth.write_bytes(npy(scene.depth_HW))
    page.choose_file("#image-file", image)
    page.wait("!document.querySelector('#canvas').hidden")
    page.choose_file("#depth-file", depth)
    page.wait("document.querySelector('#depth-state').innerText.startsWith('The depth is there')")
    page.run("document.querySelector('#fov').value = 50; document.querySelector('#guidance').value = 0")


def at(page, scene, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the image is in the window."""
    height, width = scene.ids_HW.shape
    return page.centre("#canvas", x / width, y / height)


def draw_around(page, scene, instance_id: int) -> None:
    """A polygon with the mouse, somewhat larger than a sphere's mask."""
    ys, xs = np.nonzero(scene.ids_HW == instance_id)
    x, y, radius = xs.mean() + 0.5, ys.mean() + 0.5, np.sqrt(len(xs) / np.pi) - 1
    page.click("[data-tool=polygon]")
    corners = [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 13)[:-1]]
    for corner in corners[:-1]:
        page.click_at(*at(page, scene, *corner))
    page.click_at(*at(page, scene, *corners[-1]), count=2)


def complete(page, last: str = "Textured result") -> None:
    """Until the newest stage is in the 3D view."""
    page.click("#complete")
    page.wait("!document.querySelector('#downloads').hidden")
    if last:
        page.wait(f"document.querySelector('#stages [aria-selected=true]').innerText === {json.dumps(last)}")


def drawn_ids(page, scene) -> np.ndarray:
    return np.array(page.run("Array.from(fixer.editor.ids)")).reshape(scene.ids_HW.shape)


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("3D-Fixer of size compact, 900 steps of the coarse stage", "not the released 3D-Fixer"),
        ("3D-Fixer of size tiny, 9 steps of the coarse stage", "that the system works"),
        ("3D-Fixer of size official, 300000 steps of the coarse stage", ""),
    ],
)
def test_the_page_says_what_may_be_expected_of_a_checkpoint(browser, service, title, said) -> None:
    pipe = FixerPipeline(replace(service.worker.pipe.networks, title=title), service.worker.pipe.computer)
    named = replace(service, worker=Worker(pipe, None, service.store, LIMITS))
    with listening(named) as address:
        page = browser.open(address)
        page.wait("window.fixer")
        assert title in page.text("#checkpoint")
        assert said in page.text("#warning")
        assert page.run("document.querySelector('#warning').hidden") is (said == "")


def test_an_example_is_completed_shown_stage_by_stage_and_downloaded(page, tmp_path) -> None:
    assert TITLE in page.text("#checkpoint") and TITLE in page.text("#warning")
    assert page.run("document.querySelector('#nothing').hidden") is False
    page.click("#open-example")
    page.wait("fixer.editor.present().length")
    assert "Object 3" in page.text("#instances")
    complete(page)
    assert "completed" in page.text("#outcomes")
    for number, stage in enumerate(STAGES):
        page.click(f"#stages button:nth-child({number + 1})")
        page.wait(f"document.querySelectorAll('#stages button')[{number}].ariaSelected === 'true'")
        page.wait("fixer.viewer.parts.length")
        page.run("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        view = page.screenshot("#view")
        height, width = view.shape[:2]
        middle = view[height // 5 : -height // 5, width // 5 : -width // 5]  # words stand at the lower edge
        assert (middle.max(axis=-1) > 90).sum() > 200, f"{stage} shows nothing before the dark ground"
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    file = page.download("#downloads a[data-file='result.glb']", downloads)
    assert set(trimesh.load_scene(file).graph.nodes_geometry) == {"instance_003"}
    report = json.loads(page.download("#downloads a[data-file='report.json']", downloads).read_text())
    assert report["system"] == TITLE


def test_a_foreign_name_that_points_here_gets_no_page_and_no_answer(browser, address) -> None:
    foreign = address.replace("127.0.0.1", FOREIGN_NAME)
    page = browser.open(f"{foreign}/")
    page.wait("document.body.innerText")
    assert f"does not answer to the name {FOREIGN_NAME}" in page.text("body")
    assert page.run("location.origin") == foreign  # its scripts are of one origin with all that it asks
    assert page.run("fetch('/api/about').then((answer) => answer.status)") == 421
    assert page.run("fetch('/api/jobs', {method: 'POST', body: 'x'}).then((answer) => answer.status)") == 421


def test_the_3d_view_turns_and_comes_nearer(page) -> None:
    page.click("#open-example")
    page.wait("fixer.editor.present().length")
    complete(page)
    before = page.run("[fixer.viewer.yaw, fixer.viewer.distance]")
    x, y = page.centre("#scene")
    page.drag([(x, y), (x + 60, y)])
    page.run(
        "document.querySelector('#scene').dispatchEvent(new WheelEvent('wheel', {deltaY: -300, cancelable: true}))"
    )
    after = page.run("[fixer.viewer.yaw, fixer.viewer.distance]")
    assert after[0] == pytest.approx(before[0] - 60 * 0.008)
    assert after[1] < before[1]
    page.click("#stages button:nth-child(2)")
    page.wait("document.querySelector('#stages [aria-selected=true]').innerText === 'Coarse'")
    page.click("#stages button:nth-child(4)")
    page.wait("document.querySelector('#stages [aria-selected=true]').innerText === 'Textured result'")
    assert page.run("[fixer.viewer.yaw, fixer.viewer.distance]") == after  # stages are compared from one view


def test_drawn_masks_of_an_uploaded_image_are_what_is_completed(page, tmp_path, scene) -> None:
    upload(page, tmp_path, scene)
    draw_around(page, scene, 1)
    page.click("#instances button:last-child")  # + New object
    draw_around(page, scene, 3)
    ids = drawn_ids(page, scene)
    for drawn, sphere in ((1, 1), (2, 3)):
        inside, wanted = ids == drawn, scene.ids_HW == sphere
        assert (inside & wanted).sum() / (inside | wanted).sum() > 0.8
    page.click("#undo")
    assert set(np.unique(drawn_ids(page, scene))) == {0, 1}
    page.click("[data-tool=brush]")
    ys, xs = np.nonzero(scene.ids_HW == 4)
    page.run("document.querySelector('#brush').value = 8; document.querySelector('#brush').oninput()")
    page.drag([at(page, scene, xs.mean() + shift, ys.mean()) for shift in (-8, 0, 8)])
    assert (scene.ids_HW[drawn_ids(page, scene) == 2] == 4).mean() > 0.95
    complete(page)
    assert page.run(
        "[...document.querySelectorAll('#outcomes tbody tr')].map((r) => r.children[0].innerText.trim())"
    ) == [
        "Object 1",
        "Object 2",
    ]


def test_what_cannot_be_completed_is_told_and_no_empty_scene_is_offered(page, tmp_path, scene) -> None:
    upload(page, tmp_path, replace(scene, depth_HW=np.full_like(scene.depth_HW, np.nan)))
    draw_around(page, scene, 1)
    complete(page, last="")
    assert "No object could be completed" in page.text("#nothing")
    assert "no pixel of the mask has valid depth" in page.text("#outcomes")
    assert page.text("#downloads").split() == ["Report", "(JSON)"]


def test_clicks_ask_the_segmenter_and_undo_takes_them_back(page, tmp_path, scene, segmenter) -> None:
    upload(page, tmp_path, scene)
    embedding, size_px = segmenter.embed(scene.rgb_HW3), scene.rgb_HW3.shape[1::-1]

    def wanted() -> np.ndarray:
        points = np.array(page.run("fixer.editor.points"))
        return segmenter.mask(embedding, size_px, points[:, :2], points[:, 2] == 1)

    page.click_at(*at(page, scene, 60, 40))
    page.wait("fixer.editor.answered.length === 1")
    np.testing.assert_array_equal(drawn_ids(page, scene) == 1, first := wanted())
    page.click_at(*at(page, scene, 20, 90), button="right")
    page.wait("fixer.editor.answered.length === 2")
    assert page.run("fixer.editor.points.map((p) => p[2])") == [1, 0]
    np.testing.assert_array_equal(drawn_ids(page, scene) == 1, wanted())
    page.click("#undo")
    np.testing.assert_array_equal(drawn_ids(page, scene) == 1, first)
    page.click("#remove")
    assert not drawn_ids(page, scene).any()


def test_two_people_at_once_share_nothing(browser, address, page, tmp_path, scene) -> None:
    other = browser.open(address)
    other.wait("window.fixer")
    upload(page, tmp_path, scene, "one")
    upload(other, tmp_path, replace(scene, rgb_HW3=scene.rgb_HW3[::-1].copy(), depth_HW=scene.depth_HW), "other")
    draw_around(page, scene, 1)
    for instance_id in (2, 4):
        draw_around(other, scene, instance_id)
        other.click("#instances button:last-child")
    page.click("#complete")
    complete(other)
    page.wait("!document.querySelector('#downloads').hidden")
    counts = [one.run("document.querySelectorAll('#outcomes tbody tr').length") for one in (page, other)]
    assert counts == [1, 2]
    links = [one.run("document.querySelector('#downloads a').href") for one in (page, other)]
    assert links[0] != links[1]
    assert other.problems() == []


def test_limits_are_told_in_sentences(page, address, tmp_path, scene) -> None:
    def said(word: str) -> str:
        page.wait(f"document.querySelector('#error').innerText.includes({json.dumps(word)})")
        return page.text("#error")

    large = tmp_path / "large.png"
    large.write_bytes(b"x" * (LIMITS.upload_bytes + 1))
    page.choose_file("#image-file", large)
    assert "larger than 0.4 MB" in said("larger")
    Image.new("RGB", (300, 200)).save(tmp_path / "pixels.png")
    page.choose_file("#image-file", tmp_path / "pixels.png")
    assert "300 x 200 pixels" in said("pixels")
    (tmp_path / "text.png").write_text("no picture")
    page.choose_file("#image-file", tmp_path / "text.png")
    assert "no image" in said("no image")
    upload(page, tmp_path, scene)
    draw_around(page, scene, 1)
    with httpx2.Client(base_url=address) as client:
        visitor = Visitor(client, scene)
        jobs = [visitor.ready((1,)) for _ in range(1 + LIMITS.waiting)]
        for job in jobs:
            assert visitor.complete(job, steps=100).status_code == 202
            visitor.wait(jobs[0], until=("running",))
        page.click("#complete")
        assert "2 jobs are waiting already; try again" in said("waiting")
        for job in jobs:
            client.post(f"/api/jobs/{job}/cancel")
    answered = [one for one in page.problems() if "status of 413" in one or "415" in one or "429" in one]
    assert len(answered) == len(page.problems()) == 3  # the browser's own note of each refusal, and nothing else
    page.forget_problems()


def test_a_narrow_window_shows_one_column_without_scrolling_sideways(page) -> None:
    page.resize(390, 800)
    assert page.run("document.documentElement.scrollWidth") <= 390
    left = [page.run(f"document.querySelector('{one}').getBoundingClientRect().left") for one in ("#input", "#output")]
    assert left[0] == left[1]
