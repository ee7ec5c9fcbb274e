"""Facts about the manifest of estimators, and about what a user is told when something is not here."""

import subprocess
import sys

import pytest

from scenegen.annotate.manifest import choose_estimators, read_estimators
from scenegen.annotate.options import EstimatorOptions
from scenegen.annotate.run import check_estimators, sidecar_meta
from scenegen.annotate.weights import MissingWeightsError, Weights, find_weights, parse_overrides, require
from scenegen.errors import SceneGenError, UsageError

FOUR = "moge2,vggt,depth_anything_v2,depth_pro"


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def test_every_estimator_states_licences_kind_and_alignment():
    records = read_estimators()
    assert set(records) == {*FOUR.split(","), "depth_anything_v2_small", "simulated"}
    for record in records.values():
        assert record.code_licence and (record.weights_licence or not record.needs_weights)
    assert records["depth_anything_v2"].kind == "inverse_depth" and not records["depth_anything_v2"].metric
    assert records["moge2"].metric and records["depth_pro"].metric and not records["vggt"].metric
    assert not records["depth_anything_v2"].commercial_use and records["depth_anything_v2_small"].commercial_use


def test_one_error_names_all_that_is_missing_with_id_size_and_place():
    with pytest.raises(MissingWeightsError) as error:
        check_estimators(FOUR)
    message = str(error.value)
    for part in (
        "Ruicheng/moge-2-vitl-normal (about 1324 MB",
        "facebook/VGGT-1B-Commercial (about 5030 MB",
        "depth-anything/Depth-Anything-V2-Large-hf (about 1341 MB",
        "apple/DepthPro-hf (about 1904 MB",
        "hf download apple/DepthPro-hf",
        "put model.pt in a folder and give --weights moge2=FOLDER",
        "--estimators simulated",
    ):
        assert part in message


def test_simulated_needs_nothing():
    assert require(choose_estimators("simulated")) == {}


def test_gt_is_not_an_estimator_to_run():
    with pytest.raises(UsageError, match="needs no sidecar"):
        choose_estimators("simulated,gt")


def test_unknown_names_are_refused_with_those_that_exist():
    with pytest.raises(UsageError, match=r"no estimator 'midas'; choose from .*moge2"):
        choose_estimators("moge2,midas")
    with pytest.raises(UsageError, match="which --estimators does not"):
        check_estimators("simulated", ["moge2=/w"])
    with pytest.raises(UsageError, match="NAME=PATH"):
        parse_overrides(["/w/model.pt"])


def test_a_file_or_its_folder_is_found(tmp_path):
    record = read_estimators()["moge2"]
    (tmp_path / "model.pt").write_bytes(b"x")
    for place in (tmp_path, tmp_path / "model.pt"):
        found = find_weights(record, str(place))
        assert found is not None and found.file == tmp_path / "model.pt" and found.revision == ""


def test_a_folder_without_the_files_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"x")
    (tmp_path / "config.json").write_text("{}")
    depth_pro = read_estimators()["depth_pro"]
    with pytest.raises(UsageError, match=r"none of model\.safetensors with config\.json and preprocessor_config\.json"):
        find_weights(depth_pro, str(tmp_path))
    with pytest.raises(UsageError, match=r"it needs preprocessor_config\.json beside it"):
        find_weights(depth_pro, str(tmp_path / "model.safetensors"))
    with pytest.raises(UsageError, match="no such file"):
        find_weights(read_estimators()["moge2"], "/nowhere/model.pt")


def test_a_snapshot_in_the_hubs_cache_is_found_with_its_commit(tmp_path):
    record = read_estimators()["depth_pro"]
    repository = tmp_path / "hub" / "models--apple--DepthPro-hf"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        (snapshot / name).write_bytes(b"{}")
    found = find_weights(record)
    assert found is not None and (found.weights_id, found.revision) == ("apple/DepthPro-hf", "a" * 40)


def test_a_download_that_fails_says_why_and_what_else_to_do(monkeypatch):
    import huggingface_hub

    def offline(*arguments, **options):
        raise OSError("no route to huggingface.co\nand a page of details")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(SceneGenError, match=r"cannot download apple/DepthPro-hf \(about 1904 MB\): no route") as error:
        check_estimators("depth_pro", download=True)
    assert "--weights depth_pro=PATH" in str(error.value) and "details" not in str(error.value)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"max_other_views": -1}, {"seed": -1}])
def test_options_that_cannot_be_meant_are_refused(wrong):
    with pytest.raises(UsageError, match=r"it must be"):
        EstimatorOptions(**wrong)


def test_weights_that_are_not_what_the_manifest_promises_are_refused(tmp_path):
    record = read_estimators()["moge2"]
    (tmp_path / "model.pt").write_bytes(b"something else")
    promised = Weights(tmp_path, tmp_path / "model.pt", record.hub_id, record.revision)
    with pytest.raises(MissingWeightsError, match="sha256"):
        sidecar_meta(record, promised, EstimatorOptions())
    own = Weights(tmp_path, tmp_path / "model.pt", "model.pt", "")
    assert sidecar_meta(record, own, EstimatorOptions()).weights_sha256 == own.sha256()


def test_the_command_is_imported_without_torch_or_ray():
    code = (
        "import sys, scenegen.commands.annotate, scenegen.annotate.manifest, scenegen.annotate.weights;"
        "assert not {'torch', 'transformers', 'ray', 'models', 'huggingface_hub'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
