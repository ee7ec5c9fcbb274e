"""Facts about annotating a dataset over Ray: resuming, sharing out, damage. The maps are those of `simulated`."""

import os
import shutil
import threading
import time

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from scenegen.annotate.actor import AnnotateWork, Annotator
from scenegen.annotate.manifest import choose_estimators
from scenegen.annotate.options import EstimatorOptions
from scenegen.annotate.run import annotate, sidecar_meta
from scenegen.annotate.weights import MissingWeightsError
from scenegen.contract.dataset import Dataset
from scenegen.contract.storage import Root
from scenegen.errors import EXIT_DONE, EXIT_TOO_MANY_FAILURES, SceneGenError
from scenegen.jobs.assignment import resolve_assignment
from scenegen.jobs.reporting import RunResult
from scenegen.jobs.resources import Machine
from scenegen.jobs.shard_actors import ActorKind, ActorPlan, make_shards, plan_actors
from scenegen.shards.config_file import require_config
from scenegen.shards.sidecars import missing_shards
from scenegen.verify.problem import remedy
from scenegen.verify.views import verify_dataset
from tests.box_runs.harness import SMALL, files_of

FIRST, SECOND = (f"depth_simulated-0000{shard}-of-00002.parquet" for shard in (0, 1))


@pytest.fixture(scope="module")
def rendered(uninterrupted_run):
    """A finished dataset of eight scenes in two shards, without sidecars."""
    return uninterrupted_run


@pytest.fixture
def folder(rendered, tmp_path):
    return shutil.copytree(rendered, tmp_path / "data")


PLAIN_OPTIONS = EstimatorOptions()
EVERYTHING = resolve_assignment("auto", {})


def run(folder, *, options=PLAIN_OPTIONS, estimators="simulated", array="auto", **more) -> RunResult:
    return annotate(str(folder), estimators, (), options, resolve_assignment(array, {}), workers=1, **more)


def problems_of(folder):
    stored = require_config(Root.open(folder))
    return [*verify_dataset(Root.open(folder), stored.config, stored.meta)]


@pytest.fixture(scope="module")
def annotated(rendered, tmp_path_factory):
    folder = shutil.copytree(rendered, tmp_path_factory.mktemp("annotated") / "data")
    assert run(folder).exit_code == EXIT_DONE
    return folder


def test_every_view_gets_a_map_with_its_alignment_and_nothing_else_changes(annotated, rendered):
    dataset = Dataset.open(annotated)
    assert dataset.estimators() == ("simulated",)
    assert {name: content for name, content in files_of(annotated).items() if "depth_" not in name} == files_of(
        rendered
    )
    for number in range(len(dataset)):
        view, estimate = dataset.view(number), dataset.depth_estimate(number, "simulated")
        assert (estimate.scene_index, estimate.view_index) == (view.scene_index, view.view_index)
        assert estimate.alignment.kind == "scale_shift" and estimate.errors.abs_rel < 0.3
        assert estimate.variant in ("mild", "medium", "severe")


def test_a_verified_dataset_includes_its_sidecars(annotated):
    assert problems_of(annotated) == []


def test_the_summary_tells_the_errors_after_alignment(annotated):
    summary = run(annotated).summary
    assert "AbsRel" in summary and "delta1" in summary and "simulated" in summary


def test_running_again_makes_nothing_anew(annotated):
    before = {name: (annotated / name).stat().st_mtime_ns for name in (FIRST, SECOND)}
    assert run(annotated).exit_code == EXIT_DONE
    assert before == {name: (annotated / name).stat().st_mtime_ns for name in (FIRST, SECOND)}


def test_two_tasks_share_the_shards_and_give_what_one_gives(annotated, folder):
    assert run(folder, array="1/2").exit_code == EXIT_DONE
    assert Dataset.open(folder).estimators() == () and (folder / SECOND).exists() and not (folder / FIRST).exists()
    run(folder, array="0/2")
    assert files_of(folder) == files_of(annotated)


def test_a_cut_sidecar_is_made_again_and_what_a_killed_writer_left_is_cleared_away(annotated, folder):
    """Byte for byte; the file that a writer which lives has begun stays."""
    content = (annotated / FIRST).read_bytes()
    shutil.copy(annotated / SECOND, folder / SECOND)
    (folder / FIRST).write_bytes(content[: len(content) // 2])
    dead, alive = (folder / f".{FIRST}.{name}.tmp" for name in ("dead", "alive"))
    for path in (dead, alive):
        path.write_bytes(b"half")
    os.utime(dead, (0, 0))
    run(folder)
    assert (folder / FIRST).read_bytes() == content
    assert not dead.exists() and alive.exists()


def test_verify_finds_a_flipped_bit_in_a_map_and_a_shard_without_its_sidecar(annotated, folder):
    content = bytearray((annotated / FIRST).read_bytes())
    content[300] ^= 4
    (folder / FIRST).write_bytes(content)
    problems = problems_of(folder)
    assert {problem.shard for problem in problems} == {0, 1}
    assert any("cannot be read" in problem.what for problem in problems)
    assert any("missing although other shards have it" in problem.what for problem in problems)
    assert f"scenegen annotate --data {folder}" in remedy(Root.open(folder), problems)


def test_a_sidecar_made_with_other_settings_is_made_again(annotated, folder):
    for name in (FIRST, SECOND):
        shutil.copy(annotated / name, folder / name)
    run(folder, options=EstimatorOptions(severity="severe"))
    assert {Dataset.open(folder).depth_estimate(n, "simulated").variant for n in range(4)} == {"severe"}


def test_a_damaged_views_shard_is_recorded_and_the_others_go_on(folder):
    views = folder / "views-00000-of-00002.parquet"
    with pq.ParquetFile(views) as file:
        place = file.metadata.row_group(0).column(file.schema_arrow.names.index("width")).data_page_offset
    content = bytearray(views.read_bytes())
    content[place : place + 60] = bytes(60)
    views.write_bytes(content)
    result = run(folder)
    assert result.exit_code == EXIT_TOO_MANY_FAILURES and "1 sidecars failed" in result.summary
    assert (folder / SECOND).exists() and not (folder / FIRST).exists()


def test_missing_weights_are_told_before_anything_is_computed(folder):
    before = files_of(folder)
    with pytest.raises(MissingWeightsError, match="--estimators simulated"):
        run(folder, estimators="simulated,moge2,vggt")
    assert files_of(folder) == before


def test_an_estimator_that_does_not_load_stops_the_run_with_its_reason(folder, tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "model.pt")
    with pytest.raises(SceneGenError, match=r"^moge2: [^\n]*which network it holds[^\n]*$"):
        annotate(str(folder), "moge2", [f"moge2={tmp_path}"], EstimatorOptions(device="cpu"), EVERYTHING)


def test_a_folder_without_shards_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="scenegen render"):
        run(tmp_path)


def test_networks_have_a_gpu_each_and_simulated_a_core_each():
    node = Machine(32, 1 << 40, 8)
    assert (plan_actors(node, True, "auto", None).workers, plan_actors(node, True, "auto", None).num_gpus) == (8, 1.0)
    assert plan_actors(node, True, "auto", 16).num_gpus == 0.5
    assert (plan_actors(node, False, "auto", None).workers, plan_actors(node, False, "auto", None).num_gpus) == (
        32,
        0.0,
    )
    assert plan_actors(node, True, "cpu", None).num_gpus == 0.0
    with pytest.raises(SceneGenError, match="sees no GPU"):
        plan_actors(Machine(4, 1 << 34, 0), True, "cuda", None)


def test_a_worker_that_is_killed_is_replaced_and_its_shard_made(annotated, folder):
    killed = []

    def kill_the_first():
        while not killed:
            for process in psutil.process_iter(["name", "cmdline"]):
                if "Annotator" in " ".join(process.info["cmdline"] or []) and process.pid in offspring():
                    process.kill()
                    killed.append(process.pid)
                    return
            time.sleep(0.02)

    def offspring():
        return {child.pid for child in psutil.Process().children(recursive=True)}

    killer = threading.Thread(target=kill_the_first, daemon=True)
    killer.start()
    assert run(folder).exit_code == EXIT_DONE
    assert killed and files_of(folder) == files_of(annotated)


def test_being_stopped_leaves_whole_sidecars_or_none(folder, ray_address):
    (record,) = choose_estimators("simulated")
    meta = sidecar_meta(record, None, PLAIN_OPTIONS)
    stop = threading.Event()
    stop.set()
    work = AnnotateWork(str(folder), record, None, meta, PLAIN_OPTIONS)
    files = missing_shards(Root.open(folder), "simulated", meta, range(2))
    kind = ActorKind("simulated", "views", Annotator, work, "")
    tally = make_shards(kind, ActorPlan(1, 1, 1.0, 0.0), files, lambda event: None, stop)
    assert tally.interrupted
    assert [name for name in files_of(folder) if "depth_" in name or name.endswith(".tmp")] == []


def test_views_are_small(annotated):
    assert SMALL.camera.resolution_px == 32
    rows = pq.read_metadata(annotated / FIRST).num_rows
    assert (annotated / FIRST).stat().st_size / rows < 32 * 32 * 4 + 8000
    assert np.isfinite(Dataset.open(annotated).table("depth_simulated", ["abs_rel"])["abs_rel"].to_numpy()).all()
