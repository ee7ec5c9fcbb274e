"""A shard is its spooled scenes in order, the same bytes whoever assembles it, or it is not there at all."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from shards_rows import meta_of, spool_scene, tiny_config, view_rows

from scenegen.contract.storage import Root
from scenegen.shards import spool
from scenegen.shards.ledger import ShardLedger, finished_shard
from scenegen.shards.writer import MissingScenes, assemble_shard, reopen_failed

CONFIG = tiny_config()
META = meta_of(CONFIG)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root.open(tmp_path)


def assembled(root: Root, shard: int = 0) -> ShardLedger:
    for scene in CONFIG.shard_scenes(shard):
        spool_scene(root, CONFIG, scene)
    ledger = assemble_shard(root, CONFIG, META, shard)
    assert isinstance(ledger, ShardLedger)
    return ledger


def test_a_shard_holds_one_view_a_row_group_with_conventions_and_without_the_spool(root: Root, tmp_path: Path):
    ledger = assembled(root)
    file = pq.ParquetFile(tmp_path / "views-00000-of-00003.parquet", page_checksum_verification=True)
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [1] * 4
    assert b"doc" in file.schema_arrow.field("depth").metadata
    assert file.schema_arrow.metadata[b"config_digest"].decode() == CONFIG.digest
    assert ledger.counts["views"] == 4 and ledger.hosts == ("host",) and ledger.seconds == 2.0
    assert not (tmp_path / "_spool" / "shard-00000").exists()
    assert finished_shard(root, CONFIG, 0) == ledger


def test_images_take_no_room_beyond_their_own_bytes(root: Root, tmp_path: Path):
    assembled(root)
    group = pq.ParquetFile(tmp_path / "views-00000-of-00003.parquet").metadata.row_group(0)
    columns = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    assert columns["rgb"].compression == "UNCOMPRESSED" and not columns["rgb"].is_stats_set
    assert columns["objects.list.element.visible_px"].is_stats_set
    assert columns["rgb"].total_compressed_size < len(view_rows(0)[0]["rgb"][0].as_py()) + 100


def test_the_bytes_do_not_depend_on_who_assembles_or_in_which_order_scenes_were_made(tmp_path: Path):
    contents = []
    for name, order in (("a", [0, 1]), ("b", [1, 0])):
        root = Root.open(tmp_path / name)
        for scene in order:
            spool_scene(root, CONFIG, scene)
        assemble_shard(root, CONFIG, META, 0)
        contents.append([(tmp_path / name / f"{t}-00000-of-00003.parquet").read_bytes() for t in ("views", "scenes")])
    assert contents[0] == contents[1]


def test_an_unfinished_shard_names_its_missing_scenes_and_keeps_its_spool(root: Root):
    spool_scene(root, CONFIG, 2)
    assert assemble_shard(root, CONFIG, META, 1) == MissingScenes(1, (3,))
    assert spool.finished_scenes(root, 1) == {2}


@pytest.mark.parametrize("position", [40, 900, -30, -300])
def test_a_spooled_scene_with_a_wrong_byte_is_never_assembled(root: Root, tmp_path: Path, position: int):
    for scene in (0, 1):
        spool_scene(root, CONFIG, scene)
    path = tmp_path / spool.scene_file(0, 1)
    content = bytearray(path.read_bytes())
    content[position] ^= 0x40
    path.write_bytes(content)
    result = assemble_shard(root, CONFIG, META, 0)
    if isinstance(result, MissingScenes):
        assert result.scenes == (1,) and spool.finished_scenes(root, 0) == {0}
    else:  # the byte is of no consequence, so the shard is the one that it should be
        reference = assembled(Root.open(tmp_path / "reference"))
        assert (result.views.sha256, result.scenes_file.sha256) == (
            reference.views.sha256,
            reference.scenes_file.sha256,
        )


def test_scenes_of_another_version_or_config_are_not_trusted(root: Root):
    for scene in (0, 1):
        spool_scene(root, CONFIG, scene)
    other = dataclasses.replace(META, renderer="another")
    assert assemble_shard(root, CONFIG, other, 0) == MissingScenes(0, (0, 1))
    assert spool.finished_scenes(root, 0) == set()


def test_failed_scenes_are_in_the_scenes_table_alone_and_can_be_reopened(root: Root):
    spool_scene(root, CONFIG, 0)
    spool_scene(root, CONFIG, 1, failure="timeout")
    ledger = assemble_shard(root, CONFIG, META, 0)
    assert isinstance(ledger, ShardLedger)
    assert ledger.failed == ((1, "timeout"),) and ledger.views.rows == 2 and ledger.scenes_file.rows == 2
    reopen_failed(root, CONFIG, META, ledger)
    assert finished_shard(root, CONFIG, 0) is None
    assert spool.finished_scenes(root, 0) == {0}
    spool_scene(root, CONFIG, 1)
    whole = assemble_shard(root, CONFIG, META, 0)
    assert isinstance(whole, ShardLedger) and whole.failed == () and whole.views.rows == 4
    reference = assembled(Root.open(Path(root.base) / "reference"))
    assert whole.views.sha256 == reference.views.sha256


def test_a_disk_that_fills_up_while_assembling_leaves_the_spool_and_nothing_else(
    root: Root, tmp_path: Path, monkeypatch
):
    for scene in (0, 1):
        spool_scene(root, CONFIG, scene)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("scenegen.shards.parquet.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            assemble_shard(root, CONFIG, META, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["_spool"]
    assert spool.finished_scenes(root, 0) == {0, 1}
    assert isinstance(assemble_shard(root, CONFIG, META, 0), ShardLedger)


def test_a_view_survives_spool_and_shard_bit_by_bit(root: Root):
    spool_scene(root, CONFIG, 0)
    spooled = spool.read_scene(root, META, 0, 0)
    assert [view.to_pylist() for view in spooled.views] == [view.to_pylist() for view in view_rows(0)]
    assert spooled.record.host == "host" and np.array_equal(spooled.scene.objects[0].T_world_obj[:3, 3], np.zeros(3))
