"""The commands as a user types them: what they refuse, what they say, and how they end."""

import dataclasses
import json
import os
import re
from pathlib import Path

import pytest

from scenegen import cli
from scenegen.commands.options import for_preset
from scenegen.commands.render import Render
from scenegen.config import PRESETS, DatasetConfig, preset
from scenegen.contract.dataset import Dataset

TINY = ["--renderer", "boxes", "--camera.num-views", "1", "--camera.resolution-px", "32"]
ALONE = [*TINY, "--stages", "render"]
SMALL_OBJECTS = ["--objects.condition-px", "16", "--objects.feature-px", "16", "--objects.feature-views", "2"]


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
    code = cli.main(["render", "--num-scenes", "2", "--out", str(folder), *ALONE, "--log-json", str(log)])
    assert code == 0
    return str(folder)


def test_every_field_of_a_dataset_can_be_set_on_top_of_every_preset():
    options = {field.name for field in dataclasses.fields(Render)}
    assert {field.name for field in dataclasses.fields(DatasetConfig)} <= options
    for name in PRESETS:
        assert Render(preset=name, num_scenes=7).dataset_config() == preset(name, 7)
        assert for_preset(Render, ["render", "--preset", name]).camera == preset(name, 1).camera
        assert for_preset(Render, ["render", f"--preset={name}"]).camera == preset(name, 1).camera


def test_the_default_is_the_papers_dataset_into_data():
    render = Render(num_scenes=110_000)
    assert (render.preset, render.out) == ("arsg", "data/")
    assert render.dataset_config() == preset("arsg", 110_000)


def test_rendering_makes_a_dataset_that_verifies_deeply(scenegen, dataset: str):
    assert scenegen("verify", "--out", dataset, "--deep")[0] == 0
    assert Dataset.open(dataset).index.schema_version == 1, "nothing of version 2 is in it"
    code, said = scenegen("status", "--data", dataset)
    assert code == 0 and "2 of 2 scenes (100.0%)" in said and "complete" in said
    code, said = scenegen("status", "--data", dataset, "--json")
    assert json.loads(said)["finished_scenes"] == 2
    events = [json.loads(line)["event"] for line in (Path(dataset).parent / "log.jsonl").read_text().splitlines()]
    assert sorted(events) == ["made", "made", "shard"]


def test_another_config_is_refused_with_the_difference_and_what_to_do(scenegen, dataset: str):
    code, said = scenegen("render", "--num-scenes", "2", "--out", dataset, *ALONE, "--seed", "1")
    assert code == 2
    assert "another config (seed 0 -> 1)" in said and "--resume-config" in said
    assert scenegen("render", "--out", dataset, "--resume-config", "--stages", "render")[0] == 0
    code, said = scenegen("render", "--out", dataset, "--resume-config", "--seed", "1")
    assert code == 2 and "leave out: seed 0 -> 1" in said


@pytest.mark.parametrize("transparent", ["opaque", "both"])
def test_opaque_surfaces_by_option_make_a_dataset_that_verifies_and_shows(scenegen, tmp_path: Path, transparent: str):
    out = tmp_path / "data"
    making = ["render", "--num-scenes", "1", "--out", str(out), *ALONE]
    assert scenegen(*making, "--render.transparent", transparent)[0] == 0
    assert scenegen("verify", "--data", str(out), "--deep")[0] == 0
    assert scenegen("view", "--data", str(out), "--out", str(tmp_path / "gallery"))[0] == 0
    dataset = Dataset.open(out)
    assert dataset.transparent == transparent and dataset.index.schema_version == 2
    columns = {name for name in dataset.table("views").column_names if "opaque" in name}
    assert columns == ({"depth_opaque_offset_m", "depth_opaque_step_m"} if transparent == "both" else set())
    code, said = scenegen(*making)
    assert code == 2 and f"another config (render.transparent {transparent} -> first)" in said


def test_a_dataset_of_an_older_version_is_not_continued_with_other_scenes(scenegen, dataset: str, tmp_path: Path):
    """Before objects had a gap below them, config.json had no word of it."""
    stored = json.loads((Path(dataset) / "config.json").read_text())
    del stored["config"]["placement"]["contact_gap_m"]
    (tmp_path / "config.json").write_text(json.dumps(stored))
    code, said = scenegen("render", "--num-scenes", "2", "--out", str(tmp_path), *ALONE)
    assert code == 2
    assert "another config (placement.contact_gap_m 0.0 -> 0.001)" in said and "--resume-config" in said
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


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
        (["--num-scenes", "2", "--weights", "midas=/x"], "--weights names midas, which nothing here uses"),
        (["--num-scenes", "2", "--extractor", "clip"], "no feature extractor 'clip'"),
        (["--num-scenes", "2", "--objects.feature-views", "0"], "feature-views is 0"),
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


def test_everything_that_later_stages_lack_is_said_before_anything_is_rendered(scenegen, tmp_path: Path):
    code, said = scenegen("render", "--num-scenes", "2", "--out", str(tmp_path / "d"), *TINY)
    assert code == 1 and "apple/DepthPro-hf (about 1904 MB" in said and "dinov2-with-registers-large" in said
    assert "--estimators simulated --extractor efficientnet_lite0" in said and "--stages render" in said
    assert [*tmp_path.iterdir()] == []


def test_one_command_makes_scenes_objects_and_depth_and_what_it_made_verifies(scenegen, tmp_path: Path):
    few = ["--num-scenes", "1", "--placement.num-objects", "3", "3", *TINY, *SMALL_OBJECTS]
    code, said = scenegen("render", "--preset", "preview", "--out", str(tmp_path), *few)
    assert code == 0 and "AbsRel" in said and "objects of 3 assets" in said
    code, said = scenegen("verify", "--out", str(tmp_path))
    assert code == 0 and "depth of simulated, objects, objects_features_efficientnet_lite0, objects_views" in said
    assert json.loads((tmp_path / "dataset.json").read_text())["tables"][0] == "depth_simulated"
    assert "objects_views" in (tmp_path / "README.md").read_text()
    code, said = scenegen("status", "--out", str(tmp_path))
    assert "shards beside the views: depth_simulated 1 of 1, objects 1 of 1" in said
    # Resumed without a word about the preset, later stages are still those of the preset that it was begun with.
    code, said = scenegen("render", "--out", str(tmp_path), "--resume-config", *SMALL_OBJECTS)
    assert code == 0 and "views: 0 of 1 shards to do" in said


def test_objects_of_array_tasks_wait_and_the_command_for_later_is_said(scenegen, tmp_path: Path):
    options = ["--preset", "preview", "--num-scenes", "2", "--scenes-per-shard", "1", *TINY]
    later = f"scenegen objects --data {tmp_path} --preset preview"
    code, said = scenegen("render", "--out", str(tmp_path), *options, "--array", "0/2", "--stages", "render,objects")
    assert code == 0 and later in said and not [*tmp_path.glob("objects*")]
    code, said = scenegen("objects", "--data", str(tmp_path), "--preset", "preview")
    assert code == 1 and "1 of 2 shards" in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--steps", "bake"], 2, "no step 'bake'"),
        (["--steps", "latents"], 2, "--structure-encoder"),
        (["--condition-px", "0"], 2, "condition-px is 0"),
        (["--extractor", "clip"], 2, "no feature extractor 'clip'"),
        (["--assets", "/nowhere"], 2, "no asset store /nowhere"),
        (["--preset", "huge"], 2, "no preset 'huge'"),
        (["--array", "3/2"], 2, "--array"),
        (["--latents-name", "My Latents"], 2, "latents-name is"),
        (["--extractor", "dinov2", "--assets", "starter"], 1, "dinov2-with-registers-large (about 1217 MB"),
        (
            ["--assets", "starter", "--structure-encoder", "/no/such", "--slat-encoder", "/no/such"],
            1,
            "--structure-encoder /no/such",
        ),
        ([], 2, "holds no dataset whose assets could be taken"),
    ],
)
def test_objects_that_cannot_be_meant_or_made_are_refused(scenegen, tmp_path: Path, arguments, code, says):
    preset = [] if "--preset" in arguments else ["--preset", "preview"]
    found, said = scenegen("objects", "--data", str(tmp_path / "data"), *preset, *arguments)
    assert found == code and says in re.sub(r"\s+", " ", said) and "Traceback" not in said
    assert [*tmp_path.iterdir()] == []


def test_a_device_that_is_not_there_is_an_error(scenegen, tmp_path: Path):
    code, said = scenegen(
        "render", "--num-scenes", "1", "--out", str(tmp_path), "--device", "optix", "--stages", "render"
    )
    assert code == 1 and "--device optix" in said and "--device cpu" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_to_write_is_said_at_once(scenegen, tmp_path: Path):
    tmp_path.chmod(0o500)
    code, said = scenegen("render", "--num-scenes", "1", "--out", str(tmp_path / "data"), *ALONE)
    assert code == 1 and "cannot write to" in said


def test_a_place_where_nothing_can_be_written_is_said_at_once(scenegen, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    code, said = scenegen("render", "--num-scenes", "1", "--out", str(tmp_path / "file" / "data"), *ALONE)
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
