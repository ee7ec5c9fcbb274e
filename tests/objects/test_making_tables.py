"""Facts about making the objects tables over Ray: what is made, resumed, shared out, refused, and survived."""

import json
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scenegen.config import AssetsConfig, JobConfig, PlacementConfig
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.storage import Root
from scenegen.errors import EXIT_DONE, EXIT_TOO_MANY_FAILURES, SceneGenError, UsageError
from scenegen.jobs.assignment import resolve_assignment
from scenegen.jobs.reporting import RunResult
from scenegen.objects.actors import GeometryMaker, ViewsMaker
from scenegen.objects.asset_process import AssetWork
from scenegen.objects.options import ObjectOptions, object_preset
from scenegen.objects.run import ObjectsRun, make_objects
from scenegen.objects.step_metas import StepMetas
from scenegen.objects.steps import Encoders, choose_steps, find_tools
from scenegen.objects.wanted_assets import ScenesMissingError, wanted_assets
from scenegen.scenes.factory import describe_dataset
from scenegen.shards.objects import AssetCut
from scenegen.verify.objects import verify_objects
from tests.box_runs.harness import files_of, render

OPTIONS = ObjectOptions("efficientnet_lite0", 1, 24, 16, 2, 24, samples=1, rotations=2, objects_per_shard=2)
MADE = ("objects", "objects_features_efficientnet_lite0", "objects_views")


@pytest.fixture(scope="module")
def scenes(ray_address: str, tmp_path_factory) -> Path:
    """Two finished scenes of boxes from the starter pack."""
    from tests.box_runs.harness import PLAIN, SMALL

    folder = tmp_path_factory.mktemp("scenes")
    few = PlacementConfig(num_objects=(2, 2))
    config = replace(SMALL, num_scenes=2, scenes_per_shard=1, assets=AssetsConfig(max_faces=400), placement=few)
    assert render(Root.open(folder), describe_dataset(config), PLAIN).exit_code == EXIT_DONE
    return folder


def run(folder: Path, steps: str = "auto", options=OPTIONS, encoders=Encoders(), **more) -> RunResult:  # noqa: B008
    tools = find_tools(choose_steps(steps, encoders), options, encoders)
    share = resolve_assignment(more.pop("array", "auto"), {})
    job = JobConfig(workers=1, retry_failed=more.pop("retry_failed", False))
    return make_objects(ObjectsRun(str(folder), str(folder), options, tools, job, share, **more))


@pytest.fixture(scope="module")
def made(scenes: Path, tmp_path_factory) -> Path:
    folder = shutil.copytree(scenes, tmp_path_factory.mktemp("made") / "data")
    assert run(folder).exit_code == EXIT_DONE
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "data")


def problems_of(folder: Path) -> list[str]:
    return [str(problem) for problem in verify_objects(Root.open(folder))]


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("objects*")}


def changed_tables(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {name.split("-")[0] for name in after if after[name] != before.get(name)}


def test_every_asset_that_the_scenes_show_gets_geometry_views_and_features(made: Path, scenes: Path):
    dataset = ObjectDataset.open(made)
    assert dataset.tables == MADE
    assert dataset.uids() == tuple(sorted(wanted_assets(Root.open(scenes), "used").sha256_of_uid))
    for uid in dataset.uids():
        geometry = dataset.geometry(uid)
        assert geometry.status == "ok" and geometry.licence == "CC0-1.0"
        assert (dataset.num_views(uid, "condition"), dataset.num_views(uid, "feature")) == (1, 2)
        assert len(dataset.features(uid, "efficientnet_lite0").feats) == len(geometry.voxels)
    assert problems_of(made) == []
    assert {name: content for name, content in files_of(made).items() if "objects" not in name} == files_of(scenes)


def test_running_again_makes_nothing_anew(made: Path):
    before = times(made)
    assert run(made).exit_code == EXIT_DONE
    assert times(made) == before


def test_a_lost_file_is_made_again_byte_for_byte_and_no_other(made: Path, folder: Path):
    before = times(folder)
    for name in ("objects_views-00001", "objects_features_efficientnet_lite0-00000"):
        next(folder.glob(f"{name}*")).unlink()
    assert run(folder).exit_code == EXIT_DONE
    assert files_of(folder) == files_of(made)
    assert len([name for name, when in times(folder).items() if when != before[name]]) == 2


def test_other_settings_make_their_step_anew_and_those_that_follow_from_it(folder: Path):
    before = times(folder)
    run(folder, steps="views", options=replace(OPTIONS, feature_views=1))
    assert changed_tables(before, times(folder)) == {"objects_views"}
    assert any("made from other views" in problem for problem in problems_of(folder))
    before = times(folder)
    # Features are of the views that are there, whatever the options say of views.
    run(folder, steps="features", options=replace(OPTIONS, feature_views=99, visibility="all"))
    assert changed_tables(before, times(folder)) == {"objects_features_efficientnet_lite0"}
    assert ObjectDataset.open(folder).meta("objects_features_efficientnet_lite0").settings["visibility"] == "all"
    assert problems_of(folder) == []


def test_two_tasks_share_the_shards_and_give_what_one_gives(made: Path, scenes: Path, tmp_path: Path):
    folder = shutil.copytree(scenes, tmp_path / "data")
    assert "not complete" in run(folder, array="1/2", steps="geometry").summary
    assert run(folder, array="0/2", steps="geometry").exit_code == EXIT_DONE
    geometry = {name: content for name, content in files_of(made).items() if name.startswith("objects-")}
    assert {name: content for name, content in files_of(folder).items() if name.startswith("objects")} == geometry


def test_latents_are_made_by_given_encoders_and_built_on_the_features(folder: Path, tmp_path: Path):
    torch = pytest.importorskip("torch")
    from models.checkpoints import write_network
    from models.slat_vae import SLatEncoder, SLatEncoderConfig
    from models.structure_vae import SparseStructureEncoder, StructureEncoderConfig

    torch.manual_seed(0)
    write_network(SparseStructureEncoder(StructureEncoderConfig(1, 8, 1, (4, 8, 8), 1)), tmp_path / "structure")
    write_network(SLatEncoder(SLatEncoderConfig(64, 16, 8, 2, num_heads=2, in_channels=152)), tmp_path / "slat")
    encoders = Encoders(str(tmp_path / "structure"), str(tmp_path / "slat"))
    options = replace(OPTIONS, latents_name="small")
    assert run(folder, "latents", options, encoders, array="0/9").exit_code == EXIT_DONE
    dataset = ObjectDataset.open(folder)
    latents = dataset.latents(dataset.uids()[0], "small", 1)
    assert latents.slat.shape == (len(latents.coords), 8) and latents.structure.shape == (8, 16, 16, 16)
    settings = dataset.meta("objects_latents_small").settings
    assert settings["features"] == dataset.meta(MADE[1]).settings and settings["slat_encoder"]["name"] == "slat"
    assert not [problem for problem in problems_of(folder) if "is missing" not in problem]


def work_on(folder: Path, step: str, target: str, names: Sequence[str], renderer: str) -> tuple[AssetWork, AssetCut]:
    assets = wanted_assets(Root.open(folder), "starter")
    config = replace(assets.config, renderer=renderer)
    chosen = [f"blendswap-cc0-{name}" for name in names]
    cut = AssetCut.of({uid: assets.sha256_of_uid[uid] for uid in chosen}, 8)
    tools = find_tools(("geometry", "views"), OPTIONS, Encoders())
    meta = StepMetas(Root.open(folder), cut, cut.shards, replace(assets, config=config), OPTIONS, tools).meta(step)
    return AssetWork(str(folder), config, OPTIONS, meta, "cpu", 4.0 if renderer == "boxes" else 300.0, target), cut


def test_assets_that_hang_or_crash_become_failed_rows_and_the_others_go_on(tmp_path: Path):
    troubled = ("tests.objects.troubled_tools:serve", ("chair", "lamp2", "sofa", "stool"), "boxes")
    geometry, cut = work_on(tmp_path, "geometry", *troubled)
    (shard,) = cut.shards
    assert [*GeometryMaker(geometry, 1).make(shard)][-1]["units"] == 4
    views, _ = work_on(tmp_path, "views", *troubled)
    events = [*ViewsMaker(views, 1).make(shard)]
    reasons = {event["asset"].split("-")[-1]: event["reason"] for event in events if event["event"] == "failed_asset"}
    assert reasons == {
        "chair": "views: took longer than 4 s",
        "lamp2": "views: crashed (SIGSEGV)",
        "sofa": "views: KeyError: 'a bug of the renderer'",
    }
    dataset = ObjectDataset.open(tmp_path)
    status = {uid.split("-")[-1]: dataset.geometry(uid).status for uid in dataset.uids()}
    assert status == {"chair": "failed", "lamp2": "failed", "sofa": "failed", "stool": "ok"}
    assert problems_of(tmp_path) == []


@pytest.mark.bpy
def test_blender_renders_the_views_and_they_agree_with_the_mesh(tmp_path: Path):
    how = ("scenegen.objects.asset_process:serve", ["stool"], "blender")
    geometry, cut = work_on(tmp_path, "geometry", *how)
    (shard,) = cut.shards
    [*GeometryMaker(geometry, 1).make(shard)]
    views, _ = work_on(tmp_path, "views", *how)
    with closing(ViewsMaker(views, 1)) as maker:
        assert [*maker.make(shard)][-1]["rows"] == 3
    assert problems_of(tmp_path) == []  # depth of every view lies in the unit cube, colours where there is depth
    dataset = ObjectDataset.open(tmp_path)
    assert dataset.meta("objects_views").renderer.startswith("blender 4.5")
    assert dataset.view("blendswap-cc0-stool", "condition", 0).crop.shape == (16, 16, 3)


def small_store(folder: Path) -> Path:
    """Three assets of the starter pack as a store of their own, the second of them cut short."""
    source = Path("scenegen/assets/starter").resolve()
    lines = Path("assets_manifest/objects/starter.jsonl").read_text().splitlines()[:3]
    for line in lines:
        file = json.loads(line)["file"]
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / file, folder / file)
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    broken = folder / json.loads(lines[1])["file"]
    broken.write_bytes(broken.read_bytes()[:500])
    return broken


def test_a_broken_asset_of_a_store_fails_alone_and_is_made_when_it_is_mended(tmp_path: Path, ray_address: str):
    broken = small_store(tmp_path / "store")
    arguments = {"steps": "geometry", "assets": str(tmp_path / "store")}
    result = run(tmp_path / "out", **arguments)
    assert result.exit_code == EXIT_TOO_MANY_FAILURES
    assert "1 of 3 assets failed" in result.summary and "sha256 differs" in result.summary
    dataset = ObjectDataset.open(tmp_path / "out")
    assert [dataset.geometry(uid).status for uid in dataset.uids()] == ["ok", "failed", "ok"]
    shutil.copy(Path("scenegen/assets/starter/objects") / broken.name, broken)
    assert run(tmp_path / "out", retry_failed=True, **arguments).exit_code == EXIT_DONE
    assert ObjectDataset.open(tmp_path / "out").geometry(dataset.uids()[1]).status == "ok"


def test_objects_wait_until_every_scene_is_there(scenes: Path, tmp_path: Path):
    folder = shutil.copytree(scenes, tmp_path / "data")
    (folder / "_ledger" / "shard-00001.json").unlink()
    with pytest.raises(ScenesMissingError, match=r"1 of 2 shards .* are finished[\s\S]*--assets all"):
        run(folder)
    assert not [*folder.glob("objects*")]


def test_tables_of_another_list_of_assets_are_not_mixed(folder: Path):
    with pytest.raises(UsageError, match="another number of them a shard"):
        run(folder, options=replace(OPTIONS, objects_per_shard=1))
    with pytest.raises(UsageError, match="another list of assets"):
        run(folder, assets="starter")


def test_a_step_without_what_it_builds_on_says_which(scenes: Path, tmp_path: Path):
    folder = shutil.copytree(scenes, tmp_path / "data")
    with pytest.raises(
        SceneGenError, match=r"objects-.* is missing; make it first: scenegen objects --data .* --steps geometry"
    ):
        run(folder, steps="features")
    with pytest.raises(UsageError, match="--retry-failed begins with geometry"):
        run(folder, steps="views", retry_failed=True)


def test_the_step_of_latents_needs_an_encoder_and_is_left_out_without_one():
    assert choose_steps("auto", Encoders()) == ("geometry", "views", "features")
    assert choose_steps("auto", Encoders(slat="x"))[-1] == "latents"
    assert choose_steps("features, geometry", Encoders()) == ("geometry", "features")
    with pytest.raises(UsageError, match="--structure-encoder"):
        choose_steps("latents", Encoders())


def test_the_presets_differ_in_size_alone():
    official, small = object_preset("arsg"), object_preset("preview")
    assert (official.condition_views, official.condition_px, official.feature_views, official.feature_px) == (
        24, 1024, 150, 512,
    )  # fmt: skip
    assert (official.extractor, small.extractor) == ("dinov2", "efficientnet_lite0")
    assert small.condition_px == small.feature_px == 128 and np.isclose(official.samples, 128)
