"""Many pictures with one command, as a user types it."""

import json
import os
import shutil
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.complete import FixerPipeline
from pipelines.complete.cli import main
from pipelines.complete.networks import FixerNetworks
from pipelines.complete.results import Completion
from pipelines.complete.run.scene_run import SceneRun
from pipelines.errors import EXIT_DONE, EXIT_ERROR, EXIT_INTERRUPTED, EXIT_USAGE
from tests.page_links import links_of

NAMES = ("first picture", "second", "third")


@pytest.fixture(scope="module")
def photos(scene, tmp_path_factory) -> Path:
    """Three pictures of one sphere: beside its files, with a camera of its own, and in a folder of its own."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "third").mkdir()
    for start, image in (("first picture.", "first picture"), ("second.", "second"), ("third/", "third/image")):
        Image.fromarray(scene.rgb_HW3).save(folder / f"{image}.png")
        Image.fromarray((scene.ids_HW == 1).astype(np.uint8)).save(folder / f"{start}masks.png")
        np.save(folder / f"{start}depth.npy", scene.depth_HW)
    (folder / "second.camera.json").write_text('{"fov_x_deg": 50}')
    return folder


@pytest.fixture(scope="module")
def run_batch(photos, tiny_checkpoint):
    """The exit code of a batch of the three pictures."""

    def run(results, *more, folder=photos):
        shared = ("--checkpoint", tiny_checkpoint, "--fov-deg", 50, "--steps", 1, "--guidance", 0, "--device", "cpu")
        return main([str(one) for one in ("--batch", folder, "--out", results, *shared, *more)])

    return run


@pytest.fixture(scope="module")
def made(run_batch, tmp_path_factory) -> tuple[Path, Completion]:
    """The results of the three pictures, and the last completion."""
    folder, complete, answers = tmp_path_factory.mktemp("results") / "all", SceneRun.complete, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SceneRun, "complete", lambda *given: answers.append(complete(*given)) or answers[-1])
        assert run_batch(folder) == EXIT_DONE
    return folder, answers[-1]


@pytest.fixture
def results(made) -> Path:
    return made[0]


@pytest.fixture
def networks(made, pipe, monkeypatch):
    """Networks that answer at once, with what they have answered before; `before` is called with how often they ran."""

    def answer(before):
        calls = []

        def complete(self, *given):
            calls.append(given)
            before(len(calls))
            return made[1]

        monkeypatch.setattr(SceneRun, "complete", complete)
        monkeypatch.setattr(FixerPipeline, "from_pretrained", lambda *given, **named: pipe)
        return calls

    return answer


def test_each_picture_has_its_files_and_all_have_one_report_and_page(results):
    report = json.loads((results / "report.json").read_text())["pictures"]
    assert [(name, one["outcome"], one["objects"]) for name, one in report.items()] == [
        (name, "completed", {"completed": 1}) for name in NAMES
    ]
    for name in NAMES:
        files = {path.relative_to(results / name).as_posix() for path in (results / name).rglob("*") if path.is_file()}
        assert files == {"scene.glb", "picture.png", "report.json", "objects/1.glb"}
    links = links_of((results / "index.html").read_text())
    assert links >= {f"{name}/{file}" for name in NAMES for file in ("picture.png", "scene.glb", "report.json")}
    assert all((results / name).is_file() for name in links)
    cameras = [json.loads((results / name / "report.json").read_text())["inputs"]["camera"] for name in NAMES]
    assert [Path(one).name for one in cameras] == ["50.0", "second.camera.json", "50.0"]


def test_the_same_command_again_loads_no_networks_and_changes_no_picture(results, run_batch, monkeypatch, capsys):
    before = {file: file.stat().st_mtime_ns for file in results.glob("*/*")}
    monkeypatch.setattr(FixerNetworks, "read", None)
    assert run_batch(results) == EXIT_DONE
    assert {file: file.stat().st_mtime_ns for file in results.glob("*/*")} == before
    assert "3 finished before" in capsys.readouterr().err


def test_results_of_other_settings_or_files_are_refused_by_name(results, run_batch, photos, tmp_path, capsys):
    assert run_batch(results, "--seed", 7) == EXIT_USAGE
    assert "seed: 0 -> 7" in capsys.readouterr().err
    changed = shutil.copytree(photos, tmp_path / "photos")
    (changed / "second.camera.json").write_text('{"fov_x_deg": 51}')
    assert run_batch(results, folder=changed) == EXIT_USAGE
    said = capsys.readouterr().err
    assert "1 of 3 pictures cannot be completed, so none was begun:" in said
    assert "second: its result was made from something else (another camera file); choose another --out" in said


def test_everything_that_is_wrong_is_said_before_the_first_picture_is_completed(run_batch, photos, tmp_path, capsys):
    broken = shutil.copytree(photos, tmp_path / "photos")
    (broken / "second.png").write_bytes(b"no picture")
    np.save(broken / "third/depth.npy", np.zeros((3, 3, 3)))
    assert run_batch(tmp_path / "results", folder=broken) == EXIT_USAGE
    said = capsys.readouterr().err
    assert "2 of 3 pictures cannot be completed, so none was begun:" in said
    assert "second.png cannot be read as an image" in said
    assert "third/depth.npy holds an array of shape (3, 3, 3)" in said
    assert not (tmp_path / "results").exists()


def test_a_picture_that_fails_does_not_stop_the_others(run_batch, networks, tmp_path, capsys):
    def fall(number):
        if number == 2:
            raise RuntimeError("the lamp <fell>")

    networks(fall)
    assert run_batch(tmp_path / "results") == EXIT_ERROR
    assert "2/3 second: failed: the lamp <fell>" in capsys.readouterr().err
    outcomes = json.loads((tmp_path / "results/report.json").read_text())["pictures"]
    assert [one["outcome"] for one in outcomes.values()] == ["completed", "failed", "completed"]
    assert "the lamp &lt;fell&gt;" in (tmp_path / "results/index.html").read_text()
    assert not (tmp_path / "results/second").exists()


def test_a_batch_that_is_terminated_keeps_what_is_finished_and_goes_on_later(run_batch, networks, tmp_path, capsys):
    def terminate(number):
        if number == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(10)

    calls, results = networks(terminate), tmp_path / "results"
    assert run_batch(results) == EXIT_INTERRUPTED
    assert "stopped with 1 of 3 pictures finished" in capsys.readouterr().err
    outcomes = json.loads((results / "report.json").read_text())["pictures"]
    assert [one["outcome"] for one in outcomes.values()] == ["completed", "not begun", "not begun"]
    assert run_batch(results) == EXIT_DONE
    assert len(calls) == 4
    assert "1 finished before" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--image", "a.png"], "--image is for one picture"),
        (["--objects-dir", "o"], "--objects-dir is for one picture"),
        (["--masks", "m.png"], "COCO JSON"),
        (["--depth", "d.npy"], "NAME.depth.npy"),
        (["--out", "scene.glb"], "--out of a batch is a folder"),
        (["--out", "{photos}/results"], "lies in the folder of the pictures"),
        (["--out", "{used}"], "was not written by --batch"),
        (["--out", "{taken}"], "not a result of --batch"),
    ],
)
def test_mistakes_are_answered_in_a_line(run_batch, photos, tmp_path, options, said, capsys):
    (tmp_path / "used").mkdir()
    (tmp_path / "used/index.html").touch()
    (tmp_path / "taken/second").mkdir(parents=True)
    places = {"photos": photos, "used": tmp_path / "used", "taken": tmp_path / "taken"}
    assert run_batch(tmp_path / "new", *(one.format(**places) for one in options)) == EXIT_USAGE
    assert said in capsys.readouterr().err
