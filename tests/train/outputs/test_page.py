"""The page of a run: made of what its folder holds, whichever version wrote it."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from pipelines.train.outputs.page import PAGE_FILE, write_page
from pipelines.train.outputs.record import training_record
from tests.page_links import links_of

NAME = "a run & <its> name"


@pytest.fixture
def old_run(tmp_path) -> Path:
    """A coarse stage of 30 steps and one that was stopped, as versions wrote them that recorded no command."""
    run = tmp_path / NAME
    for name, steps in (("coarse", 30), ("fine", 20)):
        stage = run / name
        (stage / "result").mkdir(parents=True)
        lines = [_trained(step) for step in range(10, steps + 1, 10)] + [_validated(10), _validated(steps)]
        (stage / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"kind": "tr')
        (stage / "config.json").write_text(json.dumps({"digest": "abc123", "steps": 30, "recipe": {"batch_size": 4}}))
        (stage / "assets.json").write_text(json.dumps({"train": ["a", "b"], "val": ["c"]}))
        for step in (10, steps):
            (stage / f"snapshots/step-{step:08d}").mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(stage / f"snapshots/step-{step:08d}/completions.png")
    (run / "coarse/result/result.json").write_text(json.dumps({"step": 30}))
    return run


def _trained(step: int) -> dict:
    loss = {"loss": 1.5 / step, "velocity": 1.5 / step, "gradient_norm": 0.5, "clip_limit": 1.0, "skipped": 0.0}
    return {"kind": "train", "step": step, "time": 0.0, "samples_per_s": 2.0, "data_wait": 0.25, **loss}


def _validated(step: int) -> dict:
    measures = {"iou": 0.1234567 + step / 1000, "iou_visible_only": 0.0987654, "psnr": float("inf"), "loss_t0.5": 0.3}
    return {"kind": "validation", "step": step, "time": 0.0, "loss": 2.5 / step, **measures}


def test_a_page_holds_the_numbers_of_the_log_beside_their_baselines(old_run) -> None:
    write_page(old_run, training_record(old_run, []))
    text = (old_run / PAGE_FILE).read_text()
    for value in (0.133457, 0.153457, 0.0987654, 2.5 / 30, 1.5 / 30):
        assert f"{value:.6g}" in text
    assert "visible voxels alone 0.0987654" in text
    assert "20 of 30, not finished" in text
    assert "abc123" in text
    points = re.findall(r'data-name="held out" data-x="10 30" data-y="([^"]*)"', text)
    assert "0.25 0.0833333" in points


def test_a_page_refers_to_nothing_but_files_beside_it(old_run) -> None:
    write_page(old_run, training_record(old_run, []))
    text = (old_run / PAGE_FILE).read_text()
    found = links_of(text)
    files = {name for name in found if not name.startswith("#")}
    assert files == {file.relative_to(old_run).as_posix() for file in old_run.rglob("*.png")}
    assert {name[1:] for name in found if name.startswith("#")} == {"coarse", "fine"}
    assert "a run &amp; &lt;its&gt; name" in text
    assert "http" not in text


def test_a_folder_without_a_stage_gets_no_page(tmp_path) -> None:
    write_page(tmp_path, training_record(tmp_path, []))
    assert [*tmp_path.iterdir()] == []
