"""The data card: `datasets` reads from its header what every table holds; people read the rest."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from scenegen.contract.dataset import Dataset
from scenegen.contract.index import list_tables
from scenegen.contract.records import BOTH
from scenegen.contract.schema import fields_of
from scenegen.contract.storage import Root
from scenegen.shards.card import features
from scenegen.shards.config_file import require_config
from scenegen.shards.ledger import finished_shards
from scenegen.shards.merge import merge

IMAGES = {"rgb", "albedo", "thumbnail", "rgba", "crop"}


@pytest.fixture
def library(monkeypatch, tmp_path_factory):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    datasets.disable_progress_bars()
    return datasets


def wanted_features(library, schema):
    found = library.Features.from_arrow_schema(schema.remove_metadata())
    return library.Features({n: library.Image() if n in IMAGES else feature for n, feature in found.items()})


def test_datasets_knows_every_table_and_column_of_the_card(finished: Path, library):
    root = Root.open(finished)
    tables = list_tables(root)
    assert sorted(library.get_dataset_config_names(str(finished))) == sorted(tables) and len(tables) == 7
    for table, files in tables.items():
        rows = library.load_dataset(str(finished), table, split="train", streaming=True)
        name = next(n for n in root.list() if n.startswith(f"{table}-"))
        assert rows.features == wanted_features(library, pq.read_schema(finished / name)) and rows.num_shards == files
    assert "rgb" in library.load_dataset(str(finished), split="train", streaming=True).features  # what comes first


def test_columns_of_opaque_surfaces_are_stated_too(library):
    import pyarrow as pa

    schema = pa.schema(fields_of("views", BOTH))
    assert library.Features._from_yaml_list(features(schema)) == wanted_features(library, schema)


def test_rgb_and_thumbnail_are_images_streamed_or_not(finished: Path, library):
    view = Dataset.open(finished).view(0)
    for streaming in (False, True):
        row = next(iter(library.load_dataset(str(finished), "views", split="train", streaming=streaming)))
        np.testing.assert_array_equal(np.asarray(row["rgb"]), view.rgb)
        assert row["rgb"].format == "WEBP" and row["thumbnail"].format == "JPEG"
        assert row["objects"][0]["visible_px"] == view.facts[0].visible_px
        np.testing.assert_array_equal(np.reshape(row["K_px"], (3, 3)), view.K_px)
    clean = next(iter(library.load_dataset(str(finished), "objects_views", split="train", streaming=True)))
    assert clean["rgba"].mode == "RGBA"


def merge_again(folder: Path) -> str:
    root = Root.open(folder)
    config = require_config(root).config
    merge(root, config, [*finished_shards(root, config, range(config.num_shards)).values()])
    return (folder / "README.md").read_text()


def test_the_card_is_written_anew_until_a_person_takes_it_over(finished: Path, tmp_path: Path):
    folder = Path(shutil.copytree(finished, tmp_path / "data"))
    card = (folder / "README.md").read_text()
    (folder / "README.md").write_text(card + "\nan old ending")
    (folder / "DATASET_CARD.md").write_text("# Data card of an older version")
    assert merge_again(folder) == card and not (folder / "DATASET_CARD.md").exists()
    assert "| CC0-1.0 | 5 |" in card and 'license:\n- "cc0-1.0"\n' in card and "`depth_tester`" in card

    mine = "\n".join(line for line in card.splitlines() if "Written by scenegen" not in line) + "\nmore of mine"
    (folder / "README.md").write_text(mine)
    assert merge_again(folder) == mine
