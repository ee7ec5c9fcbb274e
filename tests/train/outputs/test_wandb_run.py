"""What Weights & Biases is told, read from the file that its own process writes when it is offline.

There is no public reader of that file: it is a log of LevelDB whose records are messages of the package's protocol.
"""

import json
import struct
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.errors import UsageError
from pipelines.train.loop.options import describe_run
from pipelines.train.outputs.metrics_log import MetricsLog, read_metrics
from pipelines.train.settings.config import TrainConfig
from tests.train.loop.spheres import OPTIONS, RECIPE, SphereStage
from tests.train.loop.test_resume import Failing

pytest.importorskip("wandb")
BLOCK, HEADER = 32768, 7
LOGGED = replace(OPTIONS, wandb="balls")


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")


def records(file: Path) -> Iterator[object]:
    from wandb.proto.wandb_internal_pb2 import Record

    data = file.read_bytes()
    assert data[:4] == b":W&B"
    place, whole = HEADER, b""
    while place + HEADER <= len(data):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        whole += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):  # whole, or the last of several parts
            yield Record.FromString(whole)
            whole = b""


def history(folder: Path) -> list[dict]:
    """All that was logged, over all runs of the process."""
    rows = []
    for file in sorted((folder / "wandb").glob("offline-run-*/run-*.wandb")):
        for record in records(file):
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                rows.append({(one.key or "/".join(one.nested_key)): json.loads(one.value_json) for one in items})
    return rows


def series(rows: list[dict], name: str) -> list[tuple[int, float]]:
    return [(row["_step"], row[name]) for row in rows if name in row]


def test_a_run_that_was_killed_and_resumed_is_one_run_with_each_step_once(train):
    """Killed after step 5 with its last checkpoint at step 3, it takes steps 4 and 5 again."""
    six, often = replace(RECIPE, steps=6), replace(LOGGED, every=3)
    with pytest.raises(ZeroDivisionError):
        train(options=often, recipe=six, loader=Failing(at=5))
    train(options=often, recipe=six)
    folder = train.folder()
    runs = [*(folder / "wandb").glob("offline-run-*/run-*.wandb")]
    assert len(runs) == 2 and {run.stem for run in runs} == {f"run-{json.loads(_id(folder))['id']}"}
    rows, lines = history(folder), read_metrics(folder / "metrics.jsonl")
    for kind, name in (("train", "loss"), ("train", "gradient_norm"), ("validation", "loss")):
        told, logged = series(rows, f"{kind}/{name}"), [(x["step"], x[name]) for x in lines if x["kind"] == kind]
        assert [step for step, _ in told] == [step for step, _ in logged] != []
        assert [value for _, value in told] == pytest.approx([value for _, value in logged], rel=1e-4)
    assert series(rows, "sphere/_type") == [(3, "image-file"), (6, "image-file")]


def _id(folder: Path) -> str:
    return (folder / "wandb_run.json").read_text()


def test_a_service_that_fails_ends_its_log_and_not_the_training(tmp_path, monkeypatch, capsys):
    import wandb

    def fails(**_):
        raise ConnectionError("no route to host\nat length")

    monkeypatch.setattr(wandb, "init", fails)
    log = MetricsLog(tmp_path, "balls", 0, 4, stream=sys.stderr, wandb=("project", {}))
    log.validation(2, {"loss": 1.0})
    log.close()
    said = capsys.readouterr().err
    assert "Weights & Biases does not answer (no route to host); training goes on" in said and "at length" not in said
    assert read_metrics(tmp_path / "metrics.jsonl")[0]["loss"] == 1.0


def test_it_is_asked_for_by_an_option_that_does_not_decide_the_result(monkeypatch):
    assert TrainConfig(shards=("d",)).wandb_project is None
    assert TrainConfig(shards=("d",), wandb=()).wandb_project == "fixer3d"
    assert TrainConfig(shards=("d",), wandb=("mine",)).wandb_project == "mine"
    assert describe_run(SphereStage(), LOGGED) == describe_run(SphereStage(), OPTIONS)
    monkeypatch.setattr("pipelines.train.settings.config.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'fixer3d\[wandb\]'"):
        TrainConfig(shards=("d",), wandb=())
