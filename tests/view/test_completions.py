import json
import re

import pytest

from scenegen.errors import UsageError
from scenegen.view.commands import ViewCommand
from scenegen.view.completions_page import find_completions

REPORT = {
    "system": "a system of the tests",
    "seconds": 1.5,
    "inputs": {"image": "room.png"},
    "instances": {
        "3": {"outcome": "completed", "reason": "", "faces": 12, "visible_share": 0.25},
        "4": {"outcome": "skipped", "reason": "its mask is empty"},
    },
}


def completed(folder):
    folder.mkdir(parents=True)
    (folder / "scene.glb").write_bytes(b"glTF")
    (folder / "picture.png").write_bytes(b"png")
    (folder / "report.json").write_text(json.dumps(REPORT))
    return folder


def test_completed_scenes_have_a_page_with_their_outcomes_and_files(dataset_dir, tmp_path):
    completed(tmp_path / "made" / "view-7")
    assert ViewCommand(data=str(dataset_dir), out=tmp_path / "g", completions=tmp_path / "made").run() == 0
    text = (tmp_path / "g" / "completions_data.js").read_text()
    (scene,) = json.loads(re.fullmatch(r"const COMPLETIONS = (.*);\n", text)[1])["scenes"]
    assert (scene["name"], scene["system"]) == ("view-7", "a system of the tests")
    assert scene["outcomes"] == {"completed": 1, "skipped": 1}
    assert scene["instances"]["4"]["reason"] == "its mask is empty"
    assert (tmp_path / "g" / scene["files"]["scene.glb"]).read_bytes() == b"glTF"
    assert (tmp_path / "g" / "completions.html").exists()
    assert '"has_completions": true' in (tmp_path / "g" / "data.js").read_text()


def test_a_folder_without_completed_scenes_is_an_error_that_says_how_to_make_one(tmp_path):
    with pytest.raises(UsageError, match=r"fixer-complete --out NAME/scene\.glb"):
        find_completions(tmp_path)


def test_another_programs_report_is_refused_by_name(dataset_dir, tmp_path):
    folder = completed(tmp_path / "made")
    (folder / "report.json").write_text('{"system": "x"}')
    with pytest.raises(UsageError, match="no report of fixer-complete: it lacks instances, seconds"):
        ViewCommand(data=str(dataset_dir), out=tmp_path / "g", completions=tmp_path / "made").run()
