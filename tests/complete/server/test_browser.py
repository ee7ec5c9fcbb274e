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

from pipelines.complete.export.instance_colours import colour_of
from pipelines.complete.pipeline import FixerPipeline
from pipelines.complete.server.clicks import Clicker
from pipelines.complete.server.examples import Examples
from pipelines.complete.server.worker import Worker

STAGES = ("seen", "coarse", "fine", "result")
TITLE = "random weights, never trained (tests)"


@pytest.fixture
def service(service, segmenter, dataset_dir):
    """With everything that a server may have."""
    return replace(service, clicker=Clicker(segmenter, LIMITS), examples=Examples(str(dataset_dir)))


@pytest.fixture
def page(browser, address):
    page = browser.open(address)
    page.wait("window.fixer")
    yield page
    assert page.problems() == []
    assert {url.split("/")[2] for url in page.requests() if url.startswith("http")} == {address.split("/")[2]}
    page.close()


def upload(page, tmp_path, scene, name="image") -> None:
    image, depth = tmp_path / f"{name}.png", tmp_path / f"{name}.npy"
    image.write_bytes(png(scene.rgb_HW3))
    depth.write_bytes(npy(scene.depth_HW))
    page.choose_file("#image-file", image)
    page.wait("!document.querySelector('#canvas').hidden")
    page.choose_file("#depth-file", depth)
    page.wait("document.querySelector('#depth-state').innerText.startsWith('The depth is there')")
    page.run("document.querySelector('#fov').value = 50; document.querySelector('#guidance').value = 0")
    page.run("document.querySelector('#fov').oninput()")


def open_example(page, number: int = 0) -> None:
    page.wait("document.querySelectorAll('#thumbnails button').length === 6")
    page.click(f"#thumbnails li:nth-child({number + 1}) button")
    page.wait("fixer.editor.areas().size")


def objects_of(page) -> list[list[str]]:
    """Number, name and state of each, as the list says them."""
    return page.run(
        "[...document.querySelectorAll('#objects button')].map((b) => [...b.children].slice(1).map((e) => e.innerText))"
    )


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


def masks_file(tmp_path, scene):
    file = tmp_path / "masks.png"
    file.write_bytes(png(scene.ids_HW.astype(np.uint8)))
    return file


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
    pipe = FixerPipeline(replace(service.worker.pipe.networks, title=title), service.worker.pipe.compute)
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
    open_example(page)
    complete(page)
    assert objects_of(page)[0] == [
        "Object 3",
        "asset/3",
        page.run("document.querySelector('#objects .completed').innerText"),
    ]
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


def test_examples_are_chosen_by_their_pictures_with_the_keyboard_too(page) -> None:
    page.wait("[...document.querySelectorAll('#thumbnails img')].filter((one) => one.naturalWidth === 32).length === 6")
    assert page.run("document.querySelector('#thumbnails li:nth-child(4) img').alt") == "Scene 1, view 1"
    assert page.run("document.querySelector('#pager').hidden")  # six rows are one page
    page.run("document.querySelector('#thumbnails li:nth-child(3) button').focus()")
    page.press("Tab")
    page.press("Enter")
    page.wait("fixer.editor.areas().size")
    pressed = "[...document.querySelectorAll('#thumbnails button')].map((one) => one.ariaPressed)"
    assert page.run(pressed) == ["false"] * 3 + ["true"] + ["false"] * 2


def test_more_examples_than_fit_are_turned_over(browser, service, monkeypatch) -> None:
    monkeypatch.setattr("pipelines.complete.server.examples.PAGE_ROWS", 4)
    numbers = "[...document.querySelectorAll('#thumbnails button')].map((one) => Number(one.dataset.number)).join()"
    with listening(service) as address:
        page = browser.open(address)
        page.wait(f"{numbers} === '0,1,2,3'")
        page.click("#later")
        page.wait(f"{numbers} === '4,5'")
        assert page.run("document.querySelector('#later').disabled")
        page.click("#earlier")
        page.wait(f"{numbers} === '0,1,2,3'")
        page.run("document.querySelector('#first-example').value = 3")
        page.run(
            "document.querySelector('#first-example').onchange({target: document.querySelector('#first-example')})"
        )
        page.wait(f"{numbers} === '3,4,5'")
        assert page.problems() == []


def test_an_object_is_listed_in_its_colour_and_stands_out_when_it_is_pointed_at(page, tmp_path, scene) -> None:
    upload(page, tmp_path, scene)
    page.choose_file("#mask-file", masks_file(tmp_path, scene))
    page.wait("fixer.editor.areas().size === 5")
    swatches = page.run("[...document.querySelectorAll('#objects i')].map((one) => one.style.backgroundColor)")
    assert swatches[:5] == [f"rgb({', '.join(map(str, colour_of(i)))})" for i in range(1, 6)]
    assert objects_of(page)[2] == ["Object 3", "", f"{(scene.ids_HW == 3).sum():,} px"]

    def brightness(instance_id: int) -> float:
        ys, xs = np.nonzero(scene.ids_HW == instance_id)
        place = f"{int(xs.mean())}, {int(ys.mean())}, 1, 1, 0, 0, 1, 1"
        pen = "const pen = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});"
        read = f"pen.drawImage(fixer.editor.canvas, {place}); return [...pen.getImageData(0, 0, 1, 1).data]"
        return sum(page.run(f"(() => {{ {pen} {read} }})()")[:3])

    before = [brightness(i) for i in (2, 3)]
    page.move_to("#objects li:nth-child(3) button")
    page.wait("fixer.editor.lit === 3 && fixer.viewer.lit === 3")
    assert brightness(2) < 0.5 * before[0]
    assert brightness(3) == before[1]
    page.move_to("h1")
    page.wait("fixer.editor.lit === null")
    assert [brightness(i) for i in (2, 3)] == before


def test_one_mask_of_several_things_is_split_on_request(page, tmp_path, scene) -> None:
    upload(page, tmp_path, scene)
    binary = tmp_path / "binary.png"
    binary.write_bytes(png(np.where(np.isin(scene.ids_HW, (1, 4)), 255, 0).astype(np.uint8)))
    page.choose_file("#mask-file", binary)
    page.wait("fixer.editor.areas().get(255)")
    page.wait("document.querySelector('#split').innerText === 'Split into 2 objects'")
    page.click("#split")
    page.wait("fixer.editor.areas().size === 2")
    assert {int(drawn_ids(page, scene)[scene.ids_HW == sphere].mean()) for sphere in (1, 4)} == {1, 2}
    assert page.run("document.querySelector('#split').hidden")


def test_the_unit_of_a_depth_file_is_said_and_can_be_chosen_afterwards(page, tmp_path, scene) -> None:
    upload(page, tmp_path, scene)
    assert "field of view" not in page.text("#missing") and "an object" in page.text("#missing")
    millimetres = tmp_path / "depth.png"
    millimetres.write_bytes(png(np.nan_to_num(scene.depth_HW * 1000).astype(np.uint16)))
    page.choose_file("#depth-file", millimetres)
    page.wait("document.querySelector('#depth-state').innerText.includes('taken as mm: 3.48 to')")
    choose = "((unit) => { unit.value = %s; unit.onchange() })(document.querySelector('#depth-unit'))"
    page.run(choose % "'tum'")
    page.wait("document.querySelector('#depth-state').innerText.includes('0.696 to')")
    page.run(choose % "'m'")
    page.wait("document.querySelector('#error').innerText.includes('cannot be meant')")
    page.run(choose % "''")
    page.wait("document.querySelector('#error').hidden")
    assert [one for one in page.problems() if "status of 400" not in one] == []
    page.forget_problems()


def test_the_3d_view_turns_and_comes_nearer(page) -> None:
    open_example(page)
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
    page.click("#new-object")
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
    assert [number for number, _, said in objects_of(page) if said.startswith("completed")] == ["Object 1", "Object 2"]


def test_what_cannot_be_completed_is_told_and_no_empty_scene_is_offered(page, tmp_path, scene) -> None:
    upload(page, tmp_path, replace(scene, depth_HW=np.full_like(scene.depth_HW, np.nan)))
    draw_around(page, scene, 1)
    complete(page, last="")
    assert "No object could be completed" in page.text("#nothing")
    assert "no pixel of the mask has valid depth" in page.text("#objects .skipped")
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
        other.click("#new-object")
    page.click("#complete")
    complete(other)
    page.wait("!document.querySelector('#downloads').hidden")
    ended = [[said for *_, said in objects_of(one) if said.startswith("completed")] for one in (page, other)]
    assert [len(one) for one in ended] == [1, 2]
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
