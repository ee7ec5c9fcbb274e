"""The library gives what the manifests promise, or says what is wrong."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scenegen.assets import canonical_mesh, glb
from scenegen.assets.library import STARTER, AssetLibrary, Store
from scenegen.assets.manifest import AssetRecord, read_manifest, write_manifest
from scenegen.assets.sources.raw import hashed_split
from scenegen.config import AssetsConfig
from scenegen.errors import AssetError, SceneGenError, UsageError
from tests.assets.models import L_FACES, L_VERTICES, Model

ALL = AssetsConfig(split="all")


@pytest.fixture(scope="module")
def starter() -> AssetLibrary:
    return AssetLibrary.open(ALL)


def packed_store(folder: Path, **changes: object) -> Path:
    """A store with two assets made without Blender."""
    records = []
    for index, uid in enumerate(["one", "two"]):
        model = Model()
        vertices = (L_VERTICES - L_VERTICES.mean(axis=0)) * (0.3 + 0.1 * index)
        model.node(mesh=model.mesh(vertices, L_FACES))
        model.glb(folder.parent / "raw.glb")
        packed = glb.pack(glb.read_glb(folder.parent / "raw.glb"), (vertices,), {"uid": uid}, "nobody")
        (folder / "objects").mkdir(parents=True, exist_ok=True)
        file = folder / "objects" / f"{uid}.glb"
        file.write_bytes(packed.to_bytes())
        records.append(_record(uid, file))
    write_manifest(folder / "manifest.jsonl", [replace(record, **changes) for record in records])
    return folder


def _record(uid: str, file: Path) -> AssetRecord:
    import hashlib

    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return AssetRecord(
        uid, "test", f"objects/{uid}.glb", digest, len(data), "CC-BY-4.0", "me", "by me", True, "val", faces=24
    )


def test_the_starter_pack_has_at_least_120_cc0_objects_in_at_most_20_mb(starter):
    store = Store.named(STARTER)
    on_disk = [path for path in store.root.rglob("*") if path.is_file()]
    assert len(starter.records) >= 120
    assert sum(path.stat().st_size for path in on_disk) <= 20_000_000
    assert {record.licence for record in starter.records.values()} == {"CC0-1.0"}
    assert all(record.author and record.commercial_use for record in starter.records.values())
    assert {store.root / record.file for record in starter.records.values()} == set(on_disk)


def test_every_starter_object_is_whole_centred_and_of_unit_size(starter):
    for uid, record in starter.records.items():
        mesh = starter.mesh(uid)
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        assert np.abs(low + high).max() < 1e-4 and abs((high - low).max() - 1) < 1e-4, uid
        assert len(mesh.faces) == record.faces <= 20_000, uid
        assert 1 <= len(starter.convex_parts(uid)) == record.parts <= 16, uid
        assert all(4 <= len(part) <= 32 for part in starter.convex_parts(uid)), uid
        assert starter.glb_path(uid).is_file()


def test_no_two_starter_objects_are_the_same(starter):
    assert len({record.sha256 for record in starter.records.values()}) == len(starter.records)
    shapes = Counter((record.faces, record.extents) for record in starter.records.values())
    assert max(shapes.values()) == 1


def test_the_splits_are_frozen_by_a_hash_of_the_uid(starter):
    counts = Counter(record.split for record in starter.records.values())
    assert all(record.split == hashed_split(uid, 0.8, 0.1) for uid, record in starter.records.items())
    assert hashed_split("blendswap-cc0-armchair", 0.8, 0.1) == "train"
    assert min(counts["val"], counts["test"]) >= 8
    train = AssetLibrary.open(AssetsConfig(split="train")).records
    assert set(train).isdisjoint(AssetLibrary.open(AssetsConfig(split="test")).records)
    assert list(train) == sorted(train)


def test_the_convex_parts_cover_the_mesh(starter):
    from scipy.spatial import ConvexHull

    for uid in list(starter.records)[::12]:
        vertices = starter.mesh(uid).vertices
        outside = np.full(len(vertices), np.inf)
        for part in starter.convex_parts(uid):
            planes = ConvexHull(part).equations
            outside = np.minimum(outside, (vertices @ planes[:, :3].T + planes[:, 3]).max(axis=1))
        assert outside.max() < 2e-3, uid


def test_canonical_mesh_finds_the_starter_pack_by_itself(starter):
    uid = next(iter(starter.records))
    assert np.array_equal(canonical_mesh(uid).vertices, starter.mesh(uid).vertices)
    with pytest.raises(AssetError, match="not in this library"):
        canonical_mesh("nobody-has-this")


def test_what_is_given_out_cannot_be_written_into(starter):
    mesh = starter.mesh(next(iter(starter.records)))
    with pytest.raises(ValueError, match="read-only"):
        mesh.vertices[0] = 0


def test_stores_merge_and_filters_say_what_they_removed(tmp_path):
    store = str(packed_store(tmp_path / "store", aesthetic_score=3.0))
    both = AssetsConfig(objects=("starter", store), split="all")
    assert {"one", "two"} < set(AssetLibrary.open(both).records)
    assert set(AssetLibrary.open(replace(both, licences=("CC-BY-4.0",))).records) == {"one", "two"}
    assert "one" not in AssetLibrary.open(replace(both, min_aesthetic_score=4.5)).records
    assert set(AssetLibrary.open(replace(both, max_faces=24)).records) >= {"one", "two"}
    assert "one" not in AssetLibrary.open(both, exclude=["one"]).records
    with pytest.raises(UsageError, match=r"no asset is left of 2 .*2 by split=train"):
        AssetLibrary.open(AssetsConfig(objects=(store,)))
    with pytest.raises(UsageError, match=r"2 by min_aesthetic_score=4\.5"):
        AssetLibrary.open(AssetsConfig(objects=(store,), split="val", min_aesthetic_score=4.5))


def test_the_digest_changes_with_the_assets_only(tmp_path):
    store = str(packed_store(tmp_path / "store"))
    config = AssetsConfig(objects=(store,), split="val")
    assert AssetLibrary.open(config).digest == AssetLibrary.open(config).digest
    assert AssetLibrary.open(config).digest != AssetLibrary.open(config, exclude=["one"]).digest


def test_a_folder_that_is_no_store_is_a_usage_error(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in (str(tmp_path / "missing"), str(tmp_path / "empty")):
        with pytest.raises(UsageError, match="scenegen assets prepare"):
            AssetLibrary.open(AssetsConfig(objects=(name,)))
    (tmp_path / "empty" / "manifest.jsonl").write_text("")
    with pytest.raises(UsageError, match="the stores are empty"):
        AssetLibrary.open(AssetsConfig(objects=(str(tmp_path / "empty"),)))


def test_a_manifest_with_a_wrong_hash_or_a_missing_file_makes_the_asset_unusable(tmp_path):
    library = AssetLibrary.open(
        AssetsConfig(objects=(str(packed_store(tmp_path / "s", sha256="0" * 64)),), split="all")
    )
    for use in (library.mesh, library.convex_parts, library.glb_path):
        with pytest.raises(AssetError, match="sha256 differs"):
            use("one")
    store = packed_store(tmp_path / "t")
    (store / "objects" / "one.glb").unlink()
    with pytest.raises(AssetError, match="cannot read"):
        AssetLibrary.open(AssetsConfig(objects=(str(store),), split="all")).mesh("one")


def test_a_manifest_that_names_a_file_outside_its_store_is_refused(tmp_path):
    store = packed_store(tmp_path / "s", file="../../etc/passwd")
    with pytest.raises(AssetError, match="leaves the store"):
        AssetLibrary.open(AssetsConfig(objects=(str(store),), split="all")).glb_path("one")


def test_a_line_that_is_no_record_is_named(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"uid": "x"}\n')
    with pytest.raises(SceneGenError, match=r"manifest.jsonl:1 is not an asset record"):
        list(read_manifest(path))
