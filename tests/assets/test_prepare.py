"""Preparing a collection: bad assets cost themselves only, and a second run goes on where the first stopped."""

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scenegen.assets import glb
from scenegen.assets.library import AssetLibrary
from scenegen.assets.model_files.limits import Limits
from scenegen.assets.preparing import collection as preparing
from scenegen.assets.preparing.asset import PrepareOptions, prepare_asset
from scenegen.assets.preparing.child_tools import ChildTools, TimeLimits
from scenegen.assets.preparing.collection import PrepareJob, Tally, prepare_collection
from scenegen.assets.preparing.convex import convex_parts, fallback_parts, hull_part
from scenegen.assets.preparing.ledgers import Quarantined, read_prepared, read_quarantined
from scenegen.assets.preparing.run import _Progress, summary
from scenegen.assets.sources.folder import read_folder
from scenegen.assets.sources.raw import RawAsset
from scenegen.commands.assets import Check
from scenegen.config import AssetsConfig
from scenegen.errors import AssetError
from scenegen.jobs.restarts import WorkerKilledError
from tests.assets.models import L_FACES, L_VERTICES, Model, l_shape_glb, textured_obj


def box(x: float, size: float = 1.0) -> np.ndarray:
    from tests.assets.models import BOX

    return np.add(BOX * size, (x, 0, 0)).astype(np.float32)


def test_convex_parts_of_an_l_are_few_and_leave_its_notch_free():
    vertices = L_VERTICES - L_VERTICES.mean(axis=0)
    found = convex_parts(vertices, L_FACES.astype(np.int32))
    assert 2 <= len(found.vertices) <= 12 and found.method == "coacd"
    from scipy.spatial import ConvexHull

    volume = sum(ConvexHull(part).volume for part in found.vertices)
    true = 2 * 0.5 * 0.3 + 0.4 * 0.5 * 1.1
    assert true * 0.99 < volume < 1.3 * true < ConvexHull(vertices).volume


def test_a_round_hull_is_bounded_by_few_vertices_and_contains_it():
    from scipy.spatial import ConvexHull

    rng = np.random.default_rng(0)
    sphere = rng.normal(size=(2000, 3))
    sphere = (0.5 * sphere / np.linalg.norm(sphere, axis=1, keepdims=True)).astype(np.float32)
    (part,) = hull_part(sphere, "test").vertices
    planes = ConvexHull(part).equations
    assert len(part) <= 32
    assert (sphere @ planes[:, :3].T + planes[:, 3]).max() < 1e-4
    assert ConvexHull(part).volume < 1.35 * 0.5236


def test_a_cup_for_which_coacd_takes_too_long_keeps_its_hollow():
    from scipy.spatial import ConvexHull

    angle = np.linspace(0, 2 * np.pi, 33)[:-1]
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    rings = [np.column_stack([ring * 0.4, np.full(32, z)]) for z in np.linspace(-0.5, 0.5, 9)]
    vertices = np.concatenate(rings).astype(np.float32)
    a = np.arange(8 * 32)
    b = a // 32 * 32 + (a + 1) % 32
    faces = np.concatenate([np.stack([a, b, b + 32], axis=1), np.stack([a, b + 32, a + 32], axis=1)]).astype(np.int32)
    found = fallback_parts(vertices, faces, "slow")
    assert found.method == "patches (slow)" and len(found.vertices) <= 12
    assert sum(ConvexHull(part).volume for part in found.vertices) < 0.7 * ConvexHull(vertices).volume
    middle = [(ConvexHull(part).equations[:, 3]).max() for part in found.vertices]
    assert min(middle) > 0  # no part holds the middle of the cup


def test_a_flat_sheet_has_a_part_with_a_volume():
    sheet = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float32) - 0.5
    (part,) = hull_part(sheet, "flat").vertices
    assert np.ptp(part[:, 2]) > 0


@pytest.mark.bpy
def test_coacd_that_takes_too_long_leaves_a_recorded_stand_in(tmp_path, raw):
    with ChildTools(TimeLimits(parts_s=0.01)) as tools:
        record = prepare_asset(raw(l_shape_glb(tmp_path / "a.glb")), tmp_path / "store", tools, PrepareOptions())
    assert record.parts >= 1 and "(CoACD took longer than 0.01 s)" in record.parts_method


@pytest.mark.bpy
def test_blender_that_takes_too_long_quarantines_the_asset(tmp_path, raw):
    with ChildTools(TimeLimits(bake_s=0.01)) as tools, pytest.raises(AssetError, match=r"took longer than 0\.01 s"):
        prepare_asset(raw(l_shape_glb(tmp_path / "a.glb")), tmp_path / "store", tools, PrepareOptions())
    assert not list((tmp_path / "store").rglob("*.glb"))


@pytest.mark.bpy
def test_the_same_asset_prepared_twice_gives_the_same_file(tmp_path, tools, raw):
    asset = raw(textured_obj(tmp_path / "raw"))
    first = prepare_asset(asset, tmp_path / "one", tools, PrepareOptions())
    assert first == prepare_asset(asset, tmp_path / "two", tools, PrepareOptions())


@pytest.mark.bpy
def test_a_missing_texture_may_fall_back_to_the_materials_colour(tmp_path, tools, raw):
    asset = raw(textured_obj(tmp_path / "raw", write_image=False))
    with pytest.raises(AssetError, match=r"missing texture: wood\.png"):
        prepare_asset(asset, tmp_path / "store", tools, PrepareOptions())
    record = prepare_asset(asset, tmp_path / "store", tools, PrepareOptions(allow_missing_textures=True))
    assert not record.textured


@pytest.mark.bpy
def test_a_uid_that_would_leave_the_store_is_refused(tmp_path, tools, raw):
    asset = raw(l_shape_glb(tmp_path / "a.glb"), uid="../../evil")
    with pytest.raises(AssetError, match="path escape"):
        prepare_asset(asset, tmp_path / "store", tools, PrepareOptions())


def collection(folder: Path) -> list[RawAsset]:
    """Two good models and six bad ones."""
    folder.mkdir()
    good = l_shape_glb(folder / "good.glb")
    obj = textured_obj(folder / "obj")
    (folder / "cut.glb").write_bytes(good.read_bytes()[:-50])
    empty, broken, heavy = Model(), Model(), Model()
    empty.node(mesh=empty.mesh(L_VERTICES, L_FACES[:0]))
    empty.glb(folder / "empty.glb")
    broken.node(mesh=broken.mesh(np.where(L_VERTICES > 1, np.nan, L_VERTICES), L_FACES))
    for accessor in broken.document["accessors"]:
        accessor.pop("min", None)
        accessor.pop("max", None)
    broken.glb(folder / "nan.glb")
    heavy.node(mesh=heavy.mesh(L_VERTICES, np.tile(L_FACES, (200, 1))))
    heavy.glb(folder / "heavy.glb")
    bare = textured_obj(folder / "bare", write_image=False)
    escape = textured_obj(folder / "escape", "../../secret.png", write_image=False)
    paths = [good, obj, *(folder / f"{n}.glb" for n in ("cut", "empty", "nan", "heavy")), bare, escape]
    names = ["good", "obj", "cut", "empty", "nan", "heavy", "bare", "escape"]
    return [RawAsset(n, "test", str(p), str(p.parent), "train") for n, p in zip(names, paths, strict=True)]


@pytest.mark.bpy
def test_bad_assets_are_quarantined_by_name_and_a_second_run_does_nothing(tmp_path, ray_address):
    assets = collection(tmp_path / "raw")
    options = PrepareOptions(limits=Limits(max_faces=4000))
    job = PrepareJob(tmp_path / "store", options, workers=1)
    first = prepare_collection(assets, job, threading.Event())
    again = prepare_collection(assets, job, threading.Event())
    stopped = threading.Event()
    stopped.set()
    job = PrepareJob(tmp_path / "store", options, workers=1, retry_quarantined=True)
    assert prepare_collection(assets, job, stopped).interrupted
    assert (first.prepared, first.refused, first.done_before) == (2, 6, 0)
    assert (again.prepared, again.refused, again.done_before) == (0, 0, 8)
    reasons = {uid: entry.reason for uid, entry in read_quarantined(tmp_path / "store" / "quarantine.jsonl").items()}
    assert {uid: next(w for w in WORDS[uid] if w in reason) for uid, reason in reasons.items()}
    assert reasons.keys() == WORDS.keys()
    library = AssetLibrary.open(AssetsConfig(objects=(str(tmp_path / "store"),)))
    assert list(library.records) == ["good", "obj"]
    lines = (tmp_path / "store" / "prepared.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["uid"] for line in lines) == ["good", "obj"]


def test_an_asset_whose_process_is_killed_as_it_starts_is_tried_again(tmp_path, ray_address, monkeypatch):
    class KilledAtFirst:
        """Of every asset the first try ends so; then it is refused, which needs no Blender."""

        def __init__(self, store: Path, options: PrepareOptions, limits: TimeLimits) -> None:
            self._tried: set[str] = set()

        def prepare(self, raw: RawAsset) -> Quarantined:
            if raw.uid not in self._tried:
                self._tried.add(raw.uid)
                raise WorkerKilledError("was ended by SIGKILL while it started")
            return Quarantined(raw.uid, raw.source, raw.path, "tried")

    monkeypatch.setattr(preparing, "Preparer", KilledAtFirst)
    assets = [RawAsset(name, "test", f"{name}.glb", ".", "train") for name in "abcdef"]
    tally = prepare_collection(assets, PrepareJob(tmp_path, PrepareOptions(), workers=1), threading.Event())
    assert (tally.inputs, tally.refused, tally.unfinished) == (6, 6, 0)
    assert set(read_quarantined(tmp_path / "quarantine.jsonl")) == set("abcdef")


def variants(folder: Path) -> Path:
    """Four chairs that differ in their texture only, the last without it; a GLB and its copy."""
    for index in range(4):
        textured_obj(folder / f"chair{index}", write_image=index < 3)
        if index < 3:
            Image.new("RGB", (8, 4), (80 * index, 10, 10)).save(folder / f"chair{index}" / "wood.png")
    l_shape_glb(folder / "ell.glb")
    shutil.copy(folder / "ell.glb", folder / "ell copy.glb")
    return folder


def adds_up(tally: Tally) -> bool:
    return tally.inputs == tally.prepared + tally.refused + tally.duplicates + tally.done_before


@pytest.mark.bpy
def test_texture_variants_are_assets_of_their_own_and_every_input_is_accounted_for(tmp_path, ray_address, capsys):
    raw, store = variants(tmp_path / "raw"), tmp_path / "store"
    job = PrepareJob(store, workers=1)
    told = _Progress()
    first = prepare_collection(read_folder(raw, "mine"), job, threading.Event(), told.on_result)
    assert (first.inputs, first.prepared, first.refused, first.duplicates, first.done_before) == (6, 4, 1, 1, 0)
    again = prepare_collection(read_folder(raw, "mine"), job, threading.Event())
    assert (again.inputs, again.prepared, again.refused, again.duplicates, again.done_before) == (6, 0, 0, 1, 5)
    assert adds_up(first) and adds_up(again)
    assert summary(first)[:2] == [
        "6 models = 4 prepared + 1 refused + 1 duplicates + 0 done before",
        "  1 x missing texture: chair3/model.obj",
    ]
    log = capsys.readouterr().err.splitlines()
    (uid,) = read_quarantined(store / "quarantine.jsonl")
    assert f"refused chair3/model.obj: missing texture: wood.png (uid {uid})" in log
    assert "duplicate ell.glb: the same as ell copy.glb" in log
    made_from = {entry.made_from for entry in read_prepared(store).values()}
    assert made_from == {"chair0/model.obj", "chair1/model.obj", "chair2/model.obj", "ell copy.glb"}
    images = {image_of(path) for path in (store / "objects").rglob("*.glb")} - {b""}
    assert len(images) == 3
    Image.new("RGB", (8, 4), (7, 7, 7)).save(raw / "chair3" / "wood.png")
    mended = prepare_collection(read_folder(raw, "mine"), job, threading.Event())
    assert (mended.prepared, mended.duplicates, mended.done_before) == (1, 1, 4)
    assert Check(store=(str(store),)).run() == 0
    assert "refused" not in capsys.readouterr().out


def image_of(path: Path) -> bytes:
    document = glb.read_glb(path)
    return b"".join(document.view_bytes(image["bufferView"]) for image in document.json.get("images", []))


@pytest.mark.bpy
def test_a_store_of_the_older_rule_keeps_what_it_holds_and_gets_the_variants_that_it_lacked(tmp_path, ray_address):
    raw, store = variants(tmp_path / "raw"), tmp_path / "store"
    job = PrepareJob(store, workers=1)
    first_of_equal = {r.file_sha256 or r.uid: r for r in reversed(list(read_folder(raw, "mine")))}
    older = [replace(r, uid=uid, label="", file_sha256="") for uid, r in first_of_equal.items()]
    prepare_collection(older, job, threading.Event())
    ledger = store / "prepared.jsonl"
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    ledger.write_text("".join(json.dumps({k: v for k, v in x.items() if k not in NEW}) + "\n" for x in lines))
    files = {path: path.read_bytes() for path in store.rglob("*.glb")}
    gone_on = prepare_collection(read_folder(raw, "mine"), job, threading.Event())
    assert (gone_on.prepared, gone_on.refused, gone_on.duplicates, gone_on.done_before) == (2, 1, 1, 2)
    assert gone_on.kept_uids == 1 and "1 keep the uid of an older version" in summary(gone_on)[1]
    assert all(path.read_bytes() == data for path, data in files.items())
    library = AssetLibrary.open(AssetsConfig(objects=(str(store),), split="all"))
    assert len(library.records) == 4 and {r.uid for r in older} <= set(library.records)
    again = prepare_collection(read_folder(raw, "mine"), job, threading.Event())
    assert (again.prepared, again.duplicates, again.done_before) == (0, 1, 5)


NEW = ("made_from", "identity")


def test_a_quarantine_of_an_older_version_is_read_and_names_the_path_that_it_has(tmp_path):
    ledger = tmp_path / "quarantine.jsonl"
    ledger.write_text('{"uid": "a", "source": "mine", "path": "/raw/a.obj", "reason": "zero faces"}\n')
    assert read_quarantined(ledger)["a"].shown == "/raw/a.obj"


WORDS = {
    "cut": ["truncated"],
    "empty": ["zero faces"],
    "nan": ["NaN"],
    "heavy": ["4800 faces"],
    "bare": ["missing texture"],
    "escape": ["path escape"],
}
