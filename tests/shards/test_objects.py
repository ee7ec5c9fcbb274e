"""Objects tables as files: what counts as made, what a failure changes, and what verification finds."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from object_rows import BROKEN, CUT, SETTINGS, SHA256, geometry_of, meta_of, rows_of, write_shard, write_tables

from scenegen.contract import objects
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.schema import ShardMeta
from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError
from scenegen.shards import object_spool
from scenegen.shards.objects import AssetCut, failures_of, good_assets, is_made, record_failures, write_rows
from scenegen.verify.objects import verify_objects
from scenegen.verify.problem import remedy

FIRST, SECOND = CUT.shards
NUMBER_OF_FIRST, NUMBER_OF_SECOND = "-00000-of-00002.parquet", "-00001-of-00002.parquet"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tables(tmp_path)
    return tmp_path


def problems(folder: Path, **known) -> list[str]:
    return [str(problem) for problem in verify_objects(Root.open(folder), **known)]


def rewrite(folder: Path, table: str, rows: list) -> None:
    """The second shard of a table, with other rows."""
    write_rows(Root.open(folder), SECOND, meta_of(table), iter(rows))


def changed(table: str, decode: Callable, encode: Callable, **changes) -> list:
    """The rows of the second shard, the first of them changed."""
    rows = [row for uid, _ in SECOND.assets for row in rows_of(table, uid)]
    first = decode(rows[0].to_pylist()[0])
    return [encode(dataclasses.replace(first, **{name: change(first) for name, change in changes.items()})), *rows[1:]]


def test_assets_are_cut_by_uid_whatever_order_they_come_in():
    assert AssetCut.of(dict(reversed(SHA256.items())), 2) == CUT
    assert [uid for shard in CUT.shards for uid, _ in shard.assets] == sorted(SHA256)
    assert [shard.file("objects") for shard in CUT.shards] == [
        "objects-00000-of-00002.parquet",
        "objects-00001-of-00002.parquet",
    ]
    assert AssetCut.of(SHA256, 3).digest != CUT.digest


def test_good_tables_have_no_problem(folder: Path):
    images = ShardMeta("digest", 0, "1", "boxes", "none")
    assert (
        problems(folder, used={uid: SHA256[uid] for uid in good_assets(Root.open(folder), SECOND)}, images=images) == []
    )
    assert problems(folder.parent) == []


def test_a_file_counts_only_with_its_settings_its_assets_and_whole(folder: Path):
    root = Root.open(folder)
    assert all(is_made(root, shard, meta_of(table)) for table in SETTINGS for shard in CUT.shards)
    assert not is_made(root, FIRST, meta_of("objects_views", samples=9))
    assert is_made(root, FIRST, dataclasses.replace(meta_of("objects_views"), code_version="another"))
    path = folder / FIRST.file("objects_views")
    path.write_bytes(path.read_bytes()[:-50])
    assert not is_made(root, FIRST, meta_of("objects_views"))
    rewrite(folder, "objects_features_small", rows_of("objects_features_small", "box/long"))
    assert not is_made(root, SECOND, meta_of("objects_features_small"))


def test_rows_of_other_assets_are_refused_and_nothing_is_left(folder: Path):
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(SceneGenError, match="does not hold the assets of its shard"):
        rewrite(folder, "objects_views", rows_of("objects_views", "box/flat"))
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_failure_leaves_a_reason_in_the_objects_table_and_no_row_in_the_others(folder: Path):
    root = Root.open(folder)
    record_failures(root, SECOND, {"box/long": "views: took longer than 900 s"})
    assert failures_of(root, SECOND) == {"box/long": "views: took longer than 900 s"}
    assert good_assets(root, SECOND) == ["box/wide"]
    dataset = ObjectDataset.open(folder)
    assert dataset.geometry("box/long").licence == "CC0-1.0"
    for table in ("objects_views", "objects_features_small", "objects_latents_ours"):
        assert is_made(root, SECOND, meta_of(table))
    assert problems(folder) == []


def test_finished_assets_of_an_unfinished_shard_are_kept_and_those_of_other_settings_are_not(tmp_path: Path):
    root, meta = Root.open(tmp_path), meta_of("objects_views")
    rows = rows_of("objects_views", "box/wide")
    object_spool.spool_asset(root, SECOND, meta, "box/wide", rows)
    assert [row.to_pylist() for row in object_spool.spooled_rows(root, SECOND, meta, "box/wide")] == [
        row.to_pylist() for row in rows
    ]
    assert object_spool.is_spooled(root, SECOND, meta, "box/wide")
    assert not object_spool.is_spooled(root, SECOND, meta, "box/long")
    assert not object_spool.is_spooled(root, SECOND, meta_of("objects_views", samples=9), "box/wide")
    assert object_spool.num_spooled(root, "objects_views", 2) == 1


def test_a_finished_file_gives_its_assets_back_to_the_spool(folder: Path):
    root, meta = Root.open(folder), meta_of("objects_views")
    object_spool.reopen(root, SECOND, meta)
    assert all(object_spool.is_spooled(root, SECOND, meta, uid) for uid, _ in SECOND.assets)
    object_spool.discard_spool(root, SECOND, meta)
    object_spool.reopen(root, SECOND, meta_of("objects_views", samples=9))
    assert object_spool.num_spooled(root, "objects_views", 2) == 0


def flip_a_byte(folder: Path) -> None:
    path = folder / SECOND.file("objects_views")
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)


def remove_a_file(folder: Path) -> None:
    (folder / SECOND.file("objects_features_small")).unlink()


def other_settings(folder: Path) -> None:
    write_shard(folder, "objects_views", SECOND, samples=9)


def lose_a_view(folder: Path) -> None:
    rewrite(folder, "objects_views", [row for uid, _ in SECOND.assets for row in rows_of("objects_views", uid)][1:])


def move_a_vertex(folder: Path) -> None:
    def inwards(geometry):
        return geometry.vertices * np.float32([1, 0.5, 1])

    rewrite(folder, "objects", changed("objects", objects.decode_geometry, objects.encode_geometry, vertices=inwards))


def fail_an_asset_by_hand(folder: Path) -> None:
    rows = [dataclasses.replace(geometry_of(uid), status="failed") for uid, _ in SECOND.assets]
    rewrite(folder, "objects", [objects.encode_geometry(row) for row in rows])


def move_a_camera(folder: Path) -> None:
    def further(view):
        return np.block([[view.T_obj_cam[:3, :3], 2 * view.T_obj_cam[:3, 3:]], [np.eye(4)[3:]]])

    encode, decode = objects.encode_object_view, objects.decode_object_view
    rewrite(folder, "objects_views", changed("objects_views", decode, encode, T_obj_cam=further))


def skew_a_rotation(folder: Path) -> None:
    encode, decode = objects.encode_latents, objects.decode_latents
    rows = changed("objects_latents_ours", decode, encode, T_rot_obj=lambda one: np.diag([1.0, 0.9, 1, 1]))
    rewrite(folder, "objects_latents_ours", rows)


def forget_a_voxel(folder: Path) -> None:
    encode, decode = objects.encode_features, objects.decode_features
    table = "objects_features_small"
    rows = changed(table, decode, encode, feats=lambda one: one.feats[1:], views_seen=lambda one: one.views_seen[1:])
    rewrite(folder, table, rows)


def a_feature_is_nan(folder: Path) -> None:
    encode, decode = objects.encode_features, objects.decode_features
    table = "objects_features_small"
    rewrite(folder, table, changed(table, decode, encode, feats=lambda one: one.feats * np.float16("nan")))


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (flip_a_byte, "cannot be read"),
        (remove_a_file, "is missing although other shards have it"),
        (other_settings, "was made with other settings"),
        (other_settings, "was made from other views than those beside it"),
        (lose_a_view, "has 2 views, which are not the 3"),
        (move_a_vertex, "voxels are not those that its mesh touches"),
        (fail_an_asset_by_hand, "status failed with failure ''"),
        (move_a_camera, "outside the unit cube"),
        (skew_a_rotation, "not a rotation"),
        (forget_a_voxel, "rows of features for"),
        (a_feature_is_nan, "not finite"),
    ],
)
def test_every_harm_is_found_in_its_shard_and_named(folder: Path, harm: Callable[[Path], None], expected: str):
    harm(folder)
    found = problems(folder)
    assert any(expected in problem for problem in found), found
    assert not any(NUMBER_OF_FIRST in problem for problem in found)
    advice = remedy(Root.open(folder), [*verify_objects(Root.open(folder))])
    assert NUMBER_OF_SECOND in advice and f"scenegen objects --data {folder}" in advice


def test_a_damaged_objects_table_puts_no_blame_on_the_others(folder: Path):
    path = folder / SECOND.file("objects")
    last_row = pq.read_metadata(path).row_group(1)
    largest = max((last_row.column(n) for n in range(last_row.num_columns)), key=lambda c: c.total_compressed_size)
    content = bytearray(path.read_bytes())
    content[largest.data_page_offset + largest.total_compressed_size // 2] ^= 1
    path.write_bytes(content)
    (found,) = problems(folder)
    assert "objects-00001" in found and "cannot be read" in found


def test_assets_that_the_scenes_show_must_be_there(folder: Path):
    (found,) = problems(folder, used=SHA256 | {"box/new": "0" * 64, BROKEN: "1" * 64})
    assert "2 assets of the scenes" in found and "box/new" in found


def test_views_of_another_renderer_than_the_scenes_are_found(folder: Path):
    found = problems(folder, images=ShardMeta("digest", 0, "1", "blender 4.5", "AgX"))
    assert sum("renderer is 'boxes'" in problem for problem in found) == 2
    assert sum("colour_transform" in problem for problem in found) == 2


def test_two_cuts_in_one_folder_are_found(folder: Path):
    (folder / "objects-00000-of-00009.parquet").write_bytes(b"")
    (found,) = problems(folder)
    assert "[2, 9] shards" in found
