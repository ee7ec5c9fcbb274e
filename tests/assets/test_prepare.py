"""Preparing a collection: bad assets cost themselves only, and a second run goes on where the first stopped."""

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import ray

from scenegen.assets.convex import convex_parts, fallback_parts, hull_part
from scenegen.assets.library import AssetLibrary
from scenegen.assets.prepare import PrepareOptions, prepare_asset
from scenegen.assets.quarantine import read_quarantined
from scenegen.assets.safety import Limits
from scenegen.assets.sources.raw import RawAsset
from scenegen.config import AssetsConfig
from scenegen.errors import AssetError
from scenegen.jobs.asset_tools import ChildTools, TimeLimits
from scenegen.jobs.child import ChildDiedError, ChildTimeoutError, KillableChild
from scenegen.jobs.prepare_assets import PrepareJob, prepare_collection
from tests.assets.models import L_FACES, L_VERTICES, Model, l_shape_glb, textured_obj


def hang() -> None:
    time.sleep(600)


def crash() -> None:
    os.kill(os.getpid(), 11)


def misbehave(kind: str) -> str:
    return {"hang": hang, "crash": crash, "answer": lambda: "here"}[kind]() or "done"


def test_a_child_that_hangs_or_crashes_is_replaced():
    child = KillableChild("tests.assets.test_prepare:misbehave")
    assert child.call(60, "answer") == "here"
    with pytest.raises(ChildTimeoutError, match=r"longer than 0\.2 s"):
        child.call(0.2, "hang")
    with pytest.raises(ChildDiedError, match="SIGSEGV"):
        child.call(60, "crash")
    assert child.call(60, "answer") == "here"
    child.close()


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
def test_bad_assets_are_quarantined_by_name_and_a_second_run_does_nothing(tmp_path):
    assets = collection(tmp_path / "raw")
    options = PrepareOptions(limits=Limits(max_faces=4000))
    job = PrepareJob(tmp_path / "store", options, workers=1)
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        first = prepare_collection(assets, job, threading.Event())
        again = prepare_collection(assets, job, threading.Event())
        stopped = threading.Event()
        stopped.set()
        job = PrepareJob(tmp_path / "store", options, workers=1, retry_quarantined=True)
        assert prepare_collection(assets, job, stopped).interrupted
    finally:
        ray.shutdown()
    assert (first.prepared, first.quarantined, first.skipped) == (2, 6, 0)
    assert (again.prepared, again.quarantined, again.skipped) == (0, 0, 8)
    reasons = {uid: entry.reason for uid, entry in read_quarantined(tmp_path / "store" / "quarantine.jsonl").items()}
    assert {uid: next(w for w in WORDS[uid] if w in reason) for uid, reason in reasons.items()}
    assert reasons.keys() == WORDS.keys()
    library = AssetLibrary.open(AssetsConfig(objects=(str(tmp_path / "store"),)))
    assert list(library.records) == ["good", "obj"]
    lines = (tmp_path / "store" / "prepared.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["uid"] for line in lines) == ["good", "obj"]


WORDS = {
    "cut": ["truncated"],
    "empty": ["zero faces"],
    "nan": ["NaN"],
    "heavy": ["4800 faces"],
    "bare": ["missing texture"],
    "escape": ["path escape"],
}
