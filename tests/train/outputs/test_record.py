"""What a run says of itself: whose shapes each stage saw, how long it took."""

import json

import pytest

from pipelines.train.cli import main
from pipelines.train.outputs.record import training_record
from scenegen.contract.object_dataset import ObjectDataset


@pytest.fixture(scope="module")
def run(tiny_data, tmp_path_factory):
    """One step of nine, when its time was over."""
    folder = tmp_path_factory.mktemp("recorded")
    options = ["--shards", str(tiny_data), "--run-dir", str(folder), "--stage", "structure_vae", "--device", "cpu"]
    more = ["--size", "tiny", "--encoders", "efficientnet_lite0", "--workers", "0", "--validation-samples", "1"]
    assert main([*options, *more, "--max-steps", "9", "--max-minutes", "0.0001"]) == 0
    return folder


def test_a_stage_names_the_assets_that_it_saw_and_those_that_validate_it(tiny_data, run):
    table = ObjectDataset.open(tiny_data).table("objects", ["asset_uid", "split"]).to_pydict()
    by_split = {split: {u for u, s in zip(*table.values(), strict=True) if s == split} for split in ("train", "val")}
    recorded = json.loads((run / "structure_vae/assets.json").read_text())
    assert {split: {*uids} for split, uids in recorded.items()} == by_split


def test_the_record_of_a_run_has_steps_hours_assets_and_their_licences(tiny_data, run):
    record = training_record(run, [ObjectDataset.open(tiny_data)])
    assert [*record["stages"]] == ["structure_vae"]
    stage = record["stages"]["structure_vae"]
    assert (stage["steps"], stage["batch_size"], stage["assets"]) == (1, 4, len(record["assets"]))
    assert 0 <= stage["hours"] < 0.1
    assert record["licences"] and all(record["licences"])
    assert record["assets"] == sorted(json.loads((run / "structure_vae/assets.json").read_text())["train"])
