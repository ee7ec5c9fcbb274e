"""The packaged checkpoint: taken when no other is named, never taken for another, and what it must be to be shipped."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines import pretrained
from pipelines.complete import FixerPipeline
from pipelines.complete.cli import main
from pipelines.errors import EXIT_DONE, EXIT_ERROR, PipelineError
from pipelines.names import STAGE_NAMES
from scenegen.assets.library import AssetLibrary
from scenegen.assets.sources.raw import hashed_split
from scenegen.config import AssetsConfig

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 32e6
TITLE = "random weights, never trained (tests)"


@pytest.fixture
def packaged(tiny_checkpoint, monkeypatch) -> Path:
    """A checkpoint of random weights in place of the packaged one."""
    monkeypatch.setattr(pretrained, "FOLDER", tiny_checkpoint)
    return tiny_checkpoint


@pytest.fixture
def without(tmp_path, monkeypatch) -> None:
    """An installation that came without package data."""
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "compact")


def test_without_a_checkpoint_the_packaged_one_completes_and_says_its_name(packaged, scene, tmp_path, capsys) -> None:
    Image.fromarray(scene.rgb_HW3).save(tmp_path / "in.png")
    Image.fromarray(scene.ids_HW.astype(np.uint8)).save(tmp_path / "masks.png")
    np.save(tmp_path / "depth.npy", scene.depth_HW)
    inputs = ["--image", tmp_path / "in.png", "--masks", tmp_path / "masks.png", "--depth", tmp_path / "depth.npy"]
    outputs = ["--out", tmp_path / "scene.glb", "--report", tmp_path / "report.json"]
    small = ["--fov-deg", 50, "--instances", 4, "--steps", 1, "--guidance", 0, "--device", "cpu"]
    assert main([str(one) for one in (*inputs, *outputs, *small)]) == EXIT_DONE
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"no --checkpoint given: using the packaged compact model, {TITLE}"
    assert json.loads((tmp_path / "report.json").read_text())["system"] == TITLE


def test_a_pipeline_without_a_source_is_the_packaged_one(packaged) -> None:
    assert FixerPipeline.from_pretrained(device="cpu").networks.title == TITLE


@pytest.mark.parametrize("arguments", [["--shards", "d", "--view", "0", "--out", "s.glb"], ["--serve", "--port", "0"]])
def test_an_installation_without_it_says_what_to_do(without, arguments, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == EXIT_ERROR
    said = capsys.readouterr().err
    assert "name one with --checkpoint" in said and said.count("\n") == 1
    with pytest.raises(PipelineError, match="install fixer3d with its package data"):
        FixerPipeline.from_pretrained(device="cpu")


def test_the_installed_package_brings_it() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert data["pipelines.pretrained"] == [f"{pretrained.NAME}/**"]


def test_the_shipped_checkpoint_is_complete_and_small() -> None:
    files = [file for file in pretrained.packaged_checkpoint().rglob("*") if file.is_file()]
    assert {"pipeline.json", "training.json", "MODEL_CARD.md"} <= {file.name for file in files}
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES


def test_the_shipped_checkpoint_loads_and_its_title_says_what_it_is() -> None:
    networks = FixerPipeline.from_pretrained(device="cpu").networks
    assert networks.title == pretrained.packaged_title()
    assert networks.title.startswith("3D-Fixer of size compact with efficientnet_lite0 encoders, ")
    assert networks.encoders.name == "efficientnet_lite0"  # whose weights come with a package


def test_the_shipped_model_card_names_every_licence_and_author_of_its_training() -> None:
    folder = pretrained.packaged_checkpoint()
    card = (folder / "MODEL_CARD.md").read_text()
    named = [*named_in(json.loads((folder / "training.json").read_text()))]
    assert named
    assert [name for name in named if name not in card] == []


def test_no_asset_that_is_held_out_was_seen_by_any_stage_of_the_shipped_checkpoint() -> None:
    record = json.loads((pretrained.packaged_checkpoint() / "training.json").read_text())
    assert [*record["stages"]] == [*STAGE_NAMES]
    starter = AssetLibrary.open(AssetsConfig(objects=("starter",), split="all")).records
    # The split of the others, which are not in this repository, follows from their uid.
    split_of = {uid: starter[uid].split if uid in starter else hashed_split(uid, 0.8, 0.1) for uid in record["assets"]}
    assert len(split_of) > 500
    assert [uid for uid, split in split_of.items() if split != "train"] == []
    assert max(stage["assets"] for stage in record["stages"].values()) <= len(split_of)


def named_in(node):
    """Every licence and author, wherever it stands."""
    if isinstance(node, list):
        for one in node:
            yield from named_in(one)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in ("licence", "author"):
                yield value
            elif key in ("licences", "authors"):
                yield from value
            else:
                yield from named_in(value)
