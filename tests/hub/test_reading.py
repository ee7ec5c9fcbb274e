"""A dataset on the hub is read like a local one, and only in the pieces that are asked for."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("huggingface_hub")
from local_hub import LocalHub

import scenegen
from scenegen import cli
from scenegen.contract.storage import Root
from scenegen.hub.push import push

REPO = "ada/scenes"
HERE = f"hf://datasets/{REPO}"


@pytest.fixture
def pushed(finished: Path, hub: LocalHub) -> LocalHub:
    push(Root.open(finished), REPO, attribution="a text")
    hub.requests.clear()
    return hub


def test_every_array_is_that_of_the_local_dataset(finished: Path, pushed: LocalHub):
    local, there = scenegen.open_dataset(finished), pickle.loads(pickle.dumps(scenegen.open_dataset(HERE)))
    assert len(there) == len(local) == 10 and there.estimators() == local.estimators() == ("tester",)
    for number in range(10):
        mine, theirs = local.view(number), there.view(number)
        for name in ("rgb", "depth_m", "instance_id", "normal_cam", "K_px", "T_world_cam"):
            np.testing.assert_array_equal(getattr(theirs, name), getattr(mine, name))
        assert theirs.facts == mine.facts
        estimate = there.depth_estimate(number, "tester")
        np.testing.assert_array_equal(estimate.map, local.depth_estimate(number, "tester").map)
    assert there.table("instances").equals(local.table("instances"))

    mine, theirs = scenegen.open_objects(finished), scenegen.open_objects(HERE)
    uid = "box/flat"
    assert theirs.uids() == mine.uids()
    np.testing.assert_array_equal(theirs.geometry(uid).voxels, mine.geometry(uid).voxels)
    np.testing.assert_array_equal(theirs.view(uid, "condition", 0).rgba, mine.view(uid, "condition", 0).rgba)


def test_a_view_costs_its_row_group_in_one_request(finished: Path, pushed: LocalHub):
    dataset = scenegen.open_dataset(HERE)
    dataset.view(0)  # opens the files of its shard
    pushed.served_bytes, row = 0, len(pushed.requests)
    view = dataset.view(1)
    assert view.view_index == 1 and [r.split()[0] for r in pushed.requests[row:]] == ["GET"]
    assert pushed.served_bytes < (finished / "views-00000-of-00003.parquet").stat().st_size / 4


def test_branches_are_named_after_an_at(finished: Path, pushed: LocalHub):
    push(Root.open(finished), REPO, attribution="a text", revision="v1")
    del pushed.repos[REPO]["main"]["dataset.json"]
    assert scenegen.open_dataset(f"{HERE}@v1").index and scenegen.open_dataset(HERE).index is None


def test_datasets_streams_from_the_hub(finished: Path, pushed: LocalHub, monkeypatch, tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr("datasets.config.HF_ENDPOINT", pushed.url)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    rows = datasets.load_dataset(REPO, "views", split="train", streaming=True)
    np.testing.assert_array_equal(np.asarray(next(iter(rows))["rgb"]), scenegen.open_dataset(finished).view(0).rgb)


def test_commands_read_from_the_hub_and_verify_every_row(pushed: LocalHub, tmp_path: Path, capsys):
    assert cli.main(["status", "--data", HERE]) == 0 and "3 of 3 shards" in capsys.readouterr().out
    assert cli.main(["view", "--data", HERE, "--contact-sheet", str(tmp_path / "sheet.png")]) == 0
    assert (tmp_path / "sheet.png").stat().st_size > 1000


@pytest.mark.parametrize(
    "line", ["render --num-scenes 1 --out", "merge --out", "annotate --estimators simulated --data", "objects --data"]
)
def test_commands_that_write_say_at_once_what_to_do(hub: LocalHub, capsys, line: str):
    assert cli.main([*line.split(), HERE]) == 2
    assert "scenegen push --data FOLDER" in capsys.readouterr().err and hub.requests == []


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("hf://datasets/ada/nothing", "scenegen push --data data/ --repo ada/nothing"),
        ("hf://ada/scenes", "hf://datasets/OWNER/NAME"),
    ],
)
def test_a_place_that_is_no_dataset_is_named(hub: LocalHub, capsys, location: str, says: str):
    assert cli.main(["view", "--data", location, "--out", "gallery"]) in (1, 2)
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error


def test_without_a_network_or_the_package_it_says_so(hub: LocalHub, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert cli.main(["status", "--data", HERE]) == 1 and "cannot be reached" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for arguments in (["status", "--data", HERE], ["push", "--repo", REPO, "--data", "data/"]):
        assert cli.main(arguments) == 2 and "pip install 'fixer3d[hub]'" in capsys.readouterr().err
