"""`verify` finds whatever is not as promised, names it, and says what to do."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError
from scenegen.shards.ledger import ShardLedger, finished_shard
from scenegen.shards.merge import merge, remove_leftovers
from scenegen.shards.writer import assemble_shard
from scenegen.verify.problem import remedy
from scenegen.verify.views import verify_dataset
from tests.shards.shards_rows import meta_of, spool_scene, tiny_config

CONFIG = tiny_config()
META = meta_of(CONFIG)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    root = Root.open(tmp_path)
    for scene in range(CONFIG.num_scenes):
        spool_scene(root, CONFIG, scene, failure="timeout" if scene == 3 else "")
    ledgers = [assemble_shard(root, CONFIG, META, shard) for shard in range(CONFIG.num_shards)]
    merge(root, CONFIG, [ledger for ledger in ledgers if isinstance(ledger, ShardLedger)])
    return tmp_path


def problems(folder: Path, audit=None) -> list[str]:
    return [str(problem) for problem in verify_dataset(Root.open(folder), CONFIG, META, audit=audit)]


def flip_a_byte(folder: Path) -> None:
    path = folder / "views-00001-of-00003.parquet"
    content = bytearray(path.read_bytes())
    content[700] ^= 1
    path.write_bytes(content)


def cut_short(folder: Path) -> None:
    path = folder / "scenes-00001-of-00003.parquet"
    path.write_bytes(path.read_bytes()[:-100])


def swap_rows(folder: Path) -> None:
    """A file with a correct hash whose rows are in a wrong order."""
    import hashlib

    path = folder / "views-00001-of-00003.parquet"
    table = pq.read_table(path)
    pq.write_table(table.take([1, 0]), path, row_group_size=1)
    ledger = folder / "_ledger" / "shard-00001.json"
    raw = json.loads(ledger.read_text())
    raw["views"] |= {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    ledger.write_text(json.dumps(raw))


def remove_a_file(folder: Path) -> None:
    (folder / "views-00001-of-00003.parquet").unlink()


def remove_a_ledger(folder: Path) -> None:
    (folder / "_ledger" / "shard-00001.json").unlink()


def garble_a_ledger(folder: Path) -> None:
    (folder / "_ledger" / "shard-00001.json").write_text("{")


def hide_a_failure(folder: Path) -> None:
    path = folder / "_ledger" / "shard-00001.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"failed": []}))


def test_a_good_dataset_has_no_problem(dataset: Path):
    assert problems(dataset) == []


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (flip_a_byte, "sha256"),
        (cut_short, "bytes, its ledger says"),
        (swap_rows, "row 0 is scene 2 view 1"),
        (remove_a_file, "missing"),
        (remove_a_ledger, "no ledger"),
        (garble_a_ledger, "not a ledger"),
        (hide_a_failure, "its failed scenes are"),
    ],
)
def test_every_harm_to_a_shard_is_found_and_named(dataset: Path, harm: Callable[[Path], None], expected: str):
    harm(dataset)
    found = problems(dataset)
    assert any(problem.startswith("shard 1: ") and expected in problem for problem in found), found
    assert not any(problem.startswith(("shard 0", "shard 2")) for problem in found)


def test_what_to_do_makes_it_good_again(dataset: Path):
    flip_a_byte(dataset)
    root = Root.open(dataset)
    found = [*verify_dataset(root, CONFIG, META)]
    advice = remedy(root, found)
    assert "_ledger/shard-00001.json" in advice and "--resume-config" in advice
    (dataset / "_ledger" / "shard-00001.json").unlink()
    assert finished_shard(root, CONFIG, 1) is None
    for scene in CONFIG.shard_scenes(1):
        spool_scene(root, CONFIG, scene, failure="timeout" if scene == 3 else "")
    assemble_shard(root, CONFIG, META, 1)
    assert problems(dataset) == []


def test_an_index_that_is_missing_or_stale_is_found(dataset: Path):
    index = json.loads((dataset / "dataset.json").read_text())
    (dataset / "dataset.json").write_text(json.dumps(index | {"totals": {}}))
    assert problems(dataset) == ["dataset.json does not agree with the ledgers of the shards"]
    (dataset / "dataset.json").unlink()
    assert problems(dataset) == ["dataset.json is missing"]


def test_a_file_of_another_dataset_is_found(dataset: Path):
    (dataset / "views-00000-of-00009.parquet").write_bytes((dataset / "views-00000-of-00003.parquet").read_bytes())
    assert any("hold" in problem and "shards" in problem for problem in problems(dataset))


def test_a_second_opinion_is_asked_of_every_good_scene(dataset: Path):
    found = problems(dataset, audit=lambda scene: ["two things in one place"] if scene.scene_index in (1, 3) else [])
    assert found == ["shard 0: scene 1: two things in one place"]


def test_what_killed_processes_left_is_removed_and_nothing_else(dataset: Path):
    (dataset / ".views-00001-of-00003.parquet.abc.tmp").write_bytes(b"half")
    names = {path.name for path in dataset.iterdir()}
    assert remove_leftovers(Root.open(dataset)) == [".views-00001-of-00003.parquet.abc.tmp"]
    assert {path.name for path in dataset.iterdir()} == names - {".views-00001-of-00003.parquet.abc.tmp"}


def test_merging_too_early_names_the_missing_shards(dataset: Path):
    root = Root.open(dataset)
    with pytest.raises(SceneGenError, match=r"1 of 3 shards are not finished \(1\)"):
        merge(root, CONFIG, [ledger for n in (0, 2) if (ledger := finished_shard(root, CONFIG, n))])
