"""The commands as a user types them: what they refuse, what they say, and how they end."""

import dataclasses
import json
import os
import re
from pathlib import Path

import pytest

from scenegen import cli
from scenegen.config import PRESETS, DatasetConfig, preset
from scenegen.jobs import commands

TINY = ["--renderer", "boxes", "--camera.num-views", "1", "--camera.resolution-px", "32"]


@pytest.fixture
def scenegen(ray_address: str, capsys: pytest.CaptureFixture):
    """scenegen("render", ...) gives (exit code, everything that was printed)."""

    def run(*arguments: str) -> tuple[int, str]:
        try:
            code = cli.main(arguments)
        except SystemExit as end:  # tyro's own refusals
            code = end.code
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


@pytest.fixture(scope="module")
def dataset(ray_address: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two scenes made from the starter pack with the box renderer."""
    folder = tmp_path_factory.mktemp("dataset") / "data"
    log = folder.parent / "log.jsonl"
    code = cli.main(["render", "--num-scenes", "2", "--out", str(folder), *TINY, "--log-json", str(log)])
    assert code == 0
    return str(folder)


def test_every_field_of_a_dataset_can_be_set_on_top_of_every_preset():
    options = {field.name for field in dataclasses.fields(commands.Render)}
    assert {field.name for field in dataclasses.fields(DatasetConfig)} <= options
    for name in PRESETS:
        assert commands.Render(preset=name, num_scenes=7).dataset_config() == preset(name, 7)
        assert commands.for_preset(commands.Render, ["render", "--preset", name]).camera == preset(name, 1).camera
        assert commands.for_preset(commands.Render, ["render", f"--preset={name}"]).camera == preset(name, 1).camera


def test_the_default_is_the_papers_dataset_into_data():
    render = commands.Render(num_scenes=110_000)
    assert (render.preset, render.out) == ("arsg", "data/")
    assert render.dataset_config() == preset("arsg", 110_000)


def test_rendering_makes_a_dataset_that_verifies_deeply(scenegen, dataset: str):
    assert scenegen("verify", "--out", dataset, "--deep")[0] == 0
    code, said = scenegen("status", "--data", dataset)
    assert code == 0 and "2 of 2 scenes (100.0%)" in said and "complete" in said
    code, said = scenegen("status", "--data", dataset, "--json")
    assert json.loads(said)["finished_scenes"] == 2
    events = [json.loads(line)["event"] for line in (Path(dataset).parent / "log.jsonl").read_text().splitlines()]
    assert sorted(events) == ["made", "made", "shard"]


def test_another_config_is_refused_with_the_difference_and_what_to_do(scenegen, dataset: str):
    code, said = scenegen("render", "--num-scenes", "2", "--out", dataset, *TINY, "--seed", "1")
    assert code == 2
    assert "another config (seed 0 -> 1)" in said and "--resume-config" in said
    assert scenegen("render", "--out", dataset, "--resume-config")[0] == 0
    code, said = scenegen("render", "--out", dataset, "--resume-config", "--seed", "1")
    assert code == 2 and "leave out: seed 0 -> 1" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--num-scenes", "0"], "num_scenes is 0"),
        (["--num-scenes", "-3"], "num_scenes is -3"),
        ([], "--num-scenes N"),
        (["--num-scenes", "2", "--preset", "huge"], "no preset 'huge'"),
        (["--num-scenes", "2", "--device", "tpu"], "tpu"),
        (["--num-scenes", "2", "--workers", "0"], "workers is 0"),
        (["--num-scenes", "2", "--scene-timeout", "0"], "scene_timeout"),
        (["--num-scenes", "2", "--array", "4/4"], "--array"),
        (["--num-scenes", "2", "--stages", "render,bake"], "no stage 'bake'"),
        (["--num-scenes", "2", "--stages", "annotate", "--estimators", "midas"], "no estimator 'midas'"),
        (["--num-scenes", "2", "--camera.num-views", "0"], "camera.num_views is 0"),
        (["--num-scenes", "2", "--assets.objects", "/nowhere"], "/nowhere"),
        (["--num-scenes", "2", "--assets.hdris", "/nowhere"], "/nowhere"),
        (["--num-scenes", "2", "--out", "ftp://somewhere/data"], "ftp://somewhere/data"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(scenegen, tmp_path: Path, arguments, says):
    out = [] if "--out" in arguments else ["--out", str(tmp_path / "data")]
    code, said = scenegen("render", *out, "--renderer", "boxes", *arguments)
    assert code == 2
    assert says in re.sub(r"\s+", " ", said) and "Traceback" not in said
    assert [*tmp_path.iterdir()] == []


def test_missing_weights_are_said_before_anything_is_rendered(scenegen, tmp_path: Path):
    code, said = scenegen(
        "render", "--num-scenes", "2", "--out", str(tmp_path / "d"), *TINY, "--stages", "render,annotate"
    )
    assert code == 1 and "apple/DepthPro-hf (about 1904 MB" in said and "--estimators simulated" in said
    assert [*tmp_path.iterdir()] == []


def test_one_command_renders_and_annotates(scenegen, tmp_path: Path):
    preview = ["--preset", "preview", "--num-scenes", "1", *TINY, "--stages", "render,annotate"]
    code, said = scenegen("render", "--out", str(tmp_path), *preview)
    assert code == 0 and "AbsRel" in said
    code, said = scenegen("verify", "--out", str(tmp_path))
    assert code == 0 and "depth of simulated" in said


def test_a_device_that_is_not_there_is_an_error(scenegen, tmp_path: Path):
    code, said = scenegen("render", "--num-scenes", "1", "--out", str(tmp_path), "--device", "optix")
    assert code == 1 and "--device optix" in said and "--device cpu" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_to_write_is_said_at_once(scenegen, tmp_path: Path):
    tmp_path.chmod(0o500)
    code, said = scenegen("render", "--num-scenes", "1", "--out", str(tmp_path / "data"), *TINY)
    assert code == 1 and "cannot write to" in said


def test_a_place_where_nothing_can_be_written_is_said_at_once(scenegen, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    code, said = scenegen("render", "--num-scenes", "1", "--out", str(tmp_path / "file" / "data"), *TINY)
    assert code == 1 and "cannot write to" in said and "Traceback" not in said


def test_a_folder_without_a_dataset_is_named(scenegen, tmp_path: Path):
    for command in ("status", "merge", "verify"):
        code, said = scenegen(command, "--out", str(tmp_path))
        assert code == 1 and "holds no dataset" in said


def test_planning_says_what_the_machine_can_do_and_what_it_takes(scenegen, tmp_path: Path):
    code, said = scenegen("plan", "--num-scenes", "1000", "--out", str(tmp_path / "data"), *TINY)
    assert code == 0, said
    assert re.search(r"machine\s+\d+ cores", said) and "free" in said
    assert re.search(r"forecast: about .* for 1000 scenes of 1 views at 32 px", said)
    assert [*tmp_path.iterdir()] == []
