"""The notebooks run from the first cell to the last, in one folder, as a reader would: only smaller."""

import base64
import json
import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

HERE = Path(__file__).parent
SMALLER = """
NUM_SCENES = 1
SCENES = "--preset preview --split test --placement.num-objects 2 3 --camera.num-views 1 --camera.resolution-px 128"
SCENES += " --render.samples 4"
OBJECTS = "--preset preview --steps geometry,views --condition-views 1 --feature-views 1"
TRAINING = "--size tiny --encoders efficientnet_lite0 --held-out 0.2 --validation-samples 2 --max-steps 4"
LARGEST = 1
"""
PNG = b"\x89PNG\r\n\x1a\n"


def notebook(name: str) -> NotebookNode:
    return nbformat.read(HERE / f"{name}.ipynb", as_version=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebooks")


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> NotebookNode:
    """The notebook with its outputs. Raises nbclient's CellExecutionError for a cell that fails."""
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    whole = notebook(name)
    parameters = next(cell for cell in whole.cells if "parameters" in cell.metadata.get("tags", []))
    parameters.source += SMALLER
    where = {"metadata": {"path": str(folder)}}
    return nbclient.NotebookClient(whole, timeout=600, kernel_name="python3", resources=where).execute()


def outputs(ran: NotebookNode, kind: str) -> list:
    """What the cells show, of one MIME type."""
    shown = (output for cell in ran.cells for output in cell.get("outputs", []))
    return [output.data[kind] for output in shown if kind in output.get("data", {})]


def printed(ran: NotebookNode) -> str:
    shown = (output for cell in ran.cells for output in cell.get("outputs", []))
    return "".join(output.text for output in shown if output.output_type == "stream")


def pictures(ran: NotebookNode) -> int:
    found = [base64.b64decode(image) for image in outputs(ran, "image/png")]
    assert all(image.startswith(PNG) and len(image) > 5000 for image in found)
    return len(found)


@pytest.mark.parametrize("name", ["dataset", "models"])
def test_a_notebook_is_committed_without_outputs(name: str):
    for cell in notebook(name).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


@pytest.mark.bpy
def test_the_first_notebook_makes_a_dataset_and_looks_at_it(folder: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("bpy")
    ran = run("dataset", folder, monkeypatch)
    assert "data: all 1 shards are as promised" in printed(ran)
    assert "the floor lies at -0.500 m" in printed(ran)
    assert pictures(ran) == 3
    assert (folder / "data" / "gallery" / "index.html").is_file()


@pytest.mark.bpy
def test_the_second_notebook_trains_completes_and_judges(folder: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("bpy")
    ran = run("models", folder, monkeypatch)
    assert pictures(ran) == 2  # the curve of the stage; the picture completed
    assert "scene.glb" in printed(ran) and "completed" in printed(ran)
    steps = [json.loads(line) for line in (folder / "run" / "structure_vae" / "metrics.jsonl").read_text().splitlines()]
    assert max(step["step"] for step in steps) == 4
    table = json.loads((folder / "evaluation" / "report.json").read_text())["tables"][0]
    judged = {row["label"]: row for row in table["rows"] if "f_score" in row}
    assert all(row["f_score"]["mean"] > 10 for row in judged.values()) and len(judged) == 3  # ours and two baselines
    assert any("3D-Fixer" in text for text in outputs(ran, "text/markdown"))
