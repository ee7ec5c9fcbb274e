"""How other tools read the shards: the lines of the README, which every data card repeats, run as they stand."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from scenegen.contract.dataset import Dataset
from scenegen.contract.records import FIRST
from scenegen.shards.how_to_read import READING
from tests.conftest import write_views

README = Path(__file__).resolve().parents[2] / "scenegen" / "contract" / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", READING, re.MULTILINE | re.DOTALL)


def run(tool: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """What the lines with this import know in the end, where data/ is in `folder`."""
    (lines,) = [block for block in BLOCKS if f"{tool}\n" in block or f"{tool} " in block]
    monkeypatch.chdir(folder)
    known: dict = {}
    exec(compile(lines, README.name, "exec"), known)
    return known


@pytest.fixture
def folder(dataset_dir: Path, tmp_path_factory) -> Path:
    """One with the dataset in data/."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "data").symlink_to(dataset_dir)
    return folder


def test_the_readme_says_what_every_card_says():
    assert READING in README.read_text()


def test_plain_python_reads_what_the_package_reads_bit_for_bit(folder: Path, test_images, monkeypatch):
    images = test_images(0)
    normal = np.random.default_rng(0).normal(size=images.normal_cam.shape).astype(np.float32)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    normal[np.isnan(images.normal_cam)] = np.nan
    view = write_views(folder / "data", dataclasses.replace(images, normal_cam=normal), FIRST).view(0)
    read = run("import io", folder, monkeypatch)
    for name in ("rgb", "depth_m", "instance_id", "normal_cam"):
        assert read[name].dtype == getattr(view, name).dtype
        np.testing.assert_array_equal(read[name], getattr(view, name))
    assert np.isnan(view.depth_m).any() and np.isnan(view.normal_cam).any()


@pytest.mark.parametrize("tool", ["duckdb", "polars"])
def test_a_query_over_the_list_of_objects_finds_those_that_are_seen(folder: Path, monkeypatch, tool: str):
    pytest.importorskip(tool)
    found = run(f"import {tool}", folder, monkeypatch)["seen"]
    found = found.to_arrow_table() if tool == "duckdb" else found.to_arrow()
    wanted = Dataset.open(folder / "data").table("instances", list(found.column_names))
    seen = wanted.filter(np.asarray(wanted["visible_px"]) > 0).to_pylist()
    assert sorted(found.to_pylist(), key=str) == sorted(seen, key=str) and len(seen) == 6
