"""Where the shapes of assets come from."""

import numpy as np
import pytest
import trimesh
from cast_scenes import UIDS, library, write_dataset

from scenegen.assets.library import AssetLibrary
from scenegen.cli import main
from scenegen.contract.index import shard_name
from scenegen.contract.objects import ObjectGeometry, StepMeta, encode_geometry, object_schema
from scenegen.contract.records import SceneObject
from scenegen.errors import SceneGenError
from scenegen.export.shapes import Shapes
from scenegen.shards.parquet import RowWriter


@pytest.fixture
def no_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a dataset whose stores are on another machine."""
    monkeypatch.setattr(Shapes, "library", AssetLibrary({}, {}))


def write_objects(folder, sha256: str | None = None) -> None:
    assets = library()
    schema = object_schema("objects", StepMeta("objects", "digest", "0"))
    with RowWriter(folder / shard_name("objects", 0, 1), schema) as writer:
        for uid in sorted(UIDS):
            mesh, record = assets.mesh(uid), assets.records[uid]
            voxels = np.zeros((1, 3), np.uint8)
            writer.write(
                encode_geometry(
                    ObjectGeometry(
                        uid, sha256 or record.sha256, "CC0-1.0", record.split, mesh.vertices, mesh.faces, voxels
                    )
                )
            )


def test_the_objects_tables_are_enough_for_a_scene_without_materials(tmp_path, no_stores):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    write_dataset(data, scenes=1)
    write_objects(data)
    line = ["export", "--data", str(data), "--format", "glb", "--out", str(out), "--workers", "1"]
    assert main(line) == 0
    scene, assets = trimesh.load(out / "000000.glb"), library()
    for uid in UIDS:
        written, ours = scene.geometry[uid], assets.mesh(uid)
        assert len(written.faces) == len(ours.faces)
        in_z_up = written.vertices[:, [0, 2, 1]] * [1, -1, 1]
        np.testing.assert_allclose(in_z_up[written.faces], ours.vertices[ours.faces], atol=1e-7)


def test_what_is_not_at_hand_or_of_another_file_is_said_with_what_to_do(tmp_path, no_stores, data, capsys):
    line = ["export", "--data", str(data), "--format", "glb", "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main(line) == 1
    said = capsys.readouterr().err
    assert "the shape of 3 of 3 assets" in said and "--stores FOLDER" in said and not (tmp_path / "out").exists()
    write_objects(tmp_path, sha256="of another version")
    placed = SceneObject(3, UIDS[0], library().records[UIDS[0]].sha256, "CC0-1.0", np.eye(4))
    with pytest.raises(SceneGenError, match="not at hand"):
        Shapes((str(tmp_path),), ()).of(placed)


def test_a_split_is_chosen_by_the_assets_of_a_dataset_of_all(tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    write_dataset(data, scenes=1)
    (data / "config.json").write_text('{"config": {"assets": {"split": "all"}}}')
    splits = {uid: library().records[uid].split for uid in UIDS}
    assert {*splits.values()} == {"train"}  # of these three
    line = ["export", "--data", str(data), "--format", "webdataset", "--workers", "1", "--split"]
    assert main([*line, "train", "--out", str(tmp_path / "train")]) == 0
    assert "2 views of 1 scene exported" in capsys.readouterr().out
    assert main([*line, "val", "--out", str(tmp_path / "val")]) == 2
    assert "no object passes in the 2 chosen views" in capsys.readouterr().err and not (tmp_path / "val").exists()
