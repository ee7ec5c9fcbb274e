import json
import re

import pytest

from scenegen.commands.view import View
from scenegen.errors import UsageError
from scenegen.view.completions_page import find_completions
from scenegen.view.evaluation import FIGURES

REPORT = {
    "system": "a system of the tests",
    "seconds": 1.5,
    "inputs": {"image": "room.png"},
    "instances": {
        "3": {"outcome": "completed", "reason": "", "faces": 12, "visible_share": 0.25},
        "4": {"outcome": "skipped", "reason": "its mask is empty"},
    },
}


ESTIMATE = {"mean": 0.12345, "low": 0.1, "high": 0.2, "count": 9}
EVALUATION = {
    "facts": ["Test set: own."],
    "tables": [
        {
            "name": "released",
            "title": "Missing predictions left out",
            "rows": [
                {"label": "a system of the tests", "note": "", "chamfer": ESTIMATE, "objects": 9, "seconds": None},
                {"label": "MIDI", "note": "not given"},
                {"label": "convex_hull", "note": "", "chamfer": {**ESTIMATE, "low": None}, "objects": 8},
            ],
        }
    ],
}


def completed(folder):
    folder.mkdir(parents=True)
    (folder / "scene.glb").write_bytes(b"glTF")
    (folder / "picture.png").write_bytes(b"png")
    (folder / "report.json").write_text(json.dumps(REPORT))
    return folder


def page_data(gallery):
    text = (gallery / "completions_data.js").read_text()
    return json.loads(re.fullmatch(r"const COMPLETIONS = (.*);\n", text)[1])


def test_completed_scenes_have_a_page_with_their_outcomes_and_files(dataset_dir, tmp_path):
    completed(tmp_path / "made" / "view-7")
    assert View(data=str(dataset_dir), out=tmp_path / "g", completions=tmp_path / "made").run() == 0
    data = page_data(tmp_path / "g")
    (scene,) = data["scenes"]
    assert data["evaluation"] is None and data["curves"] == {}
    assert (scene["name"], scene["system"]) == ("view-7", "a system of the tests")
    assert scene["outcomes"] == {"completed": 1, "skipped": 1}
    assert scene["instances"]["4"]["reason"] == "its mask is empty"
    assert (tmp_path / "g" / scene["files"]["scene.glb"]).read_bytes() == b"glTF"
    assert (tmp_path / "g" / "completions.html").exists()
    assert '"has_completions": true' in (tmp_path / "g" / "data.js").read_text()


def test_an_evaluation_and_training_curves_beside_the_scenes_are_shown_with_them(dataset_dir, tmp_path):
    made = tmp_path / "made"
    completed(made / "view-7")
    for name in ("evaluation/released.png", "evaluation/report.md", "curves/structure_vae.png"):
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_bytes(b"some")
    (made / "evaluation" / "report.json").write_text(json.dumps(EVALUATION))
    View(data=str(dataset_dir), out=tmp_path / "g", completions=made).run()
    data = page_data(tmp_path / "g")
    assert data["evaluation"]["columns"] == ["CD-O ↓", "objects"]
    assert data["evaluation"]["rows"] == [
        {"label": "a system of the tests", "cells": ["0.1235", "9"], "ranges": ["0.1000 to 0.2000", ""]},
        {"label": "convex_hull", "cells": ["0.1235", "8"], "ranges": ["", ""]},
    ]
    shown = [*data["curves"].values(), *data["evaluation"]["plots"].values(), *data["evaluation"]["files"].values()]
    assert [*data["curves"]] == ["structure_vae.png"] and len(shown) == 4
    assert all((tmp_path / "g" / place).is_file() for place in shown)


@pytest.mark.parametrize("text", ["nonsense", "{}", '{"tables": [], "facts": []}', '{"tables": [{"title": "x"}]}'])
def test_an_evaluation_that_is_none_is_refused_by_name(dataset_dir, tmp_path, text):
    made = tmp_path / "made"
    completed(made / "view-7")
    (made / "evaluation").mkdir()
    (made / "evaluation" / "report.json").write_text(text)
    with pytest.raises(UsageError, match=r"evaluation/report\.json is no report of fixer-evaluate"):
        View(data=str(dataset_dir), out=tmp_path / "g", completions=made).run()


def test_the_columns_of_an_evaluation_are_among_those_that_fixer_evaluate_writes():
    tables = pytest.importorskip("pipelines.evaluate.report.tables")
    written = {*tables.OBJECT_COLUMNS, *tables.COUNT_COLUMNS, *tables.scene_columns((0.1,))}
    assert {figure.key for figure in FIGURES} <= {column.key for column in written} | {"views", "seconds"}


def test_a_folder_without_completed_scenes_is_an_error_that_says_how_to_make_one(tmp_path):
    with pytest.raises(UsageError, match=r"fixer-complete --out NAME/scene\.glb"):
        find_completions(tmp_path)


def test_another_programs_report_is_refused_by_name(dataset_dir, tmp_path):
    folder = completed(tmp_path / "made")
    (folder / "report.json").write_text('{"system": "x"}')
    with pytest.raises(UsageError, match="no report of fixer-complete: it lacks instances, seconds"):
        View(data=str(dataset_dir), out=tmp_path / "g", completions=tmp_path / "made").run()
