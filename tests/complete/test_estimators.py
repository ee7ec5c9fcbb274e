"""Depth and camera of an image by published estimators: their real code, small, with random weights, in their files."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))  # its tiny networks
from estimator_networks import write_depth_pro, write_moge

from models.depth_estimators.protocol import DepthMap
from pipelines.complete.cli import main
from pipelines.complete.compute_device import ComputeDevice
from pipelines.complete.inputs.estimators import LoadedEstimator, choose_estimator, find_weights, known_estimators
from pipelines.complete.view import Camera
from pipelines.errors import EXIT_DONE, EXIT_USAGE, PipelineError, UsageError

CPU = ComputeDevice.choose("cpu")
WRITERS = {"moge2": write_moge, "depth_pro": write_depth_pro}


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(scope="module", params=WRITERS)
def estimator(request, tmp_path_factory):
    return LoadedEstimator.load(request.param, WRITERS[request.param](tmp_path_factory.mktemp(request.param)), CPU)


def test_depth_has_the_images_own_shape_and_its_camera_comes_with_it(estimator, scene) -> None:
    estimate = estimator(scene.rgb_HW3, None)
    assert estimate.depth_HW.shape == scene.depth_HW.shape
    assert np.nanmin(estimate.depth_HW) > 0
    height, width = scene.depth_HW.shape
    K = estimate.camera.K_px
    np.testing.assert_allclose(K[:2, 2], [width / 2, height / 2], rtol=1e-5)
    assert K[0, 0] == pytest.approx(K[1, 1], rel=1e-5)


def test_a_known_camera_is_kept_and_changes_the_depth(estimator, scene) -> None:
    known = Camera.from_fov(0.9, scene.depth_HW.shape[::-1])
    told, free = estimator(scene.rgb_HW3, known), estimator(scene.rgb_HW3, None)
    assert told.camera is known
    assert not np.allclose(told.depth_HW, free.depth_HW, equal_nan=True)


class Fixed:
    """Answers with the same map, half of it unsure."""

    def __init__(self, focal_px):
        self.network, self._focal_px = torch.nn.Identity(), focal_px

    def __call__(self, rgbs, focal_px=None):
        depth = np.full(rgbs[0].shape[:2], 3.0, np.float32)
        confidence = np.where(np.arange(depth.shape[1]) < depth.shape[1] // 2, 1.0, 9.0) + np.zeros_like(depth)
        return [DepthMap(depth, confidence, self._focal_px)]


def test_pixels_of_which_the_estimator_is_not_sure_have_no_depth(scene) -> None:
    facts = choose_estimator("vggt")
    estimate = LoadedEstimator(facts, Fixed(300.0), CPU)(scene.rgb_HW3, None)
    half = scene.depth_HW.shape[1] // 2
    assert np.isnan(estimate.depth_HW[:, :half]).all() and (estimate.depth_HW[:, half:] == 3).all()
    assert estimate.camera.K_px[0, 0] == 300.0
    without = LoadedEstimator(replace(facts, confidence_threshold=None), Fixed(None), CPU)
    with pytest.raises(PipelineError, match="no focal length"):
        without(scene.rgb_HW3, None)


def test_inverse_depth_and_error_models_are_refused_with_what_to_take_instead() -> None:
    with pytest.raises(UsageError, match=r"unknown scale and shift.*take depth_pro, moge2, vggt"):
        choose_estimator("depth_anything_v2")
    with pytest.raises(UsageError, match="error model"):
        choose_estimator("simulated")
    with pytest.raises(UsageError, match=r"neither a depth file nor an estimator 'midas'"):
        choose_estimator("midas")


def test_missing_weights_are_named_with_size_licence_and_the_way_to_get_them(tmp_path) -> None:
    facts = known_estimators()["depth_pro"]
    with pytest.raises(
        UsageError, match=r"about 1904 MB, licence LicenseRef-apple-amlr.*hf download apple/DepthPro-hf"
    ):
        find_weights(facts, None)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    wanted = r"expected model\.safetensors with config\.json and preprocessor_config\.json"
    with pytest.raises(UsageError, match=wanted):
        find_weights(facts, tmp_path)
    for name in facts.config_files:
        (tmp_path / name).write_text("{}")
    assert find_weights(facts, tmp_path) == tmp_path / "model.safetensors"


def test_an_image_and_an_estimator_are_enough_for_a_scene(scene, tiny_checkpoint, tmp_path) -> None:
    Image.fromarray(scene.rgb_HW3).save(tmp_path / "in.png")
    Image.fromarray(scene.ids_HW.astype(np.uint8)).save(tmp_path / "masks.png")
    weights = write_depth_pro(tmp_path)
    inputs = ["--image", tmp_path / "in.png", "--masks", tmp_path / "masks.png", "--depth", "depth_pro"]
    outputs = ["--out", tmp_path / "s.glb", "--report", tmp_path / "r.json"]
    fast = ["--steps", 1, "--guidance", 0, "--device", "cpu"]
    given = ["--checkpoint", tiny_checkpoint, *inputs, "--depth-weights", weights, *outputs, *fast]
    assert main([str(one) for one in given]) == EXIT_DONE
    inputs = json.loads((tmp_path / "r.json").read_text())["inputs"]
    assert (inputs["depth"], inputs["camera"], inputs["depth_is_metric"]) == ("depth_pro", "depth_pro", True)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--depth", "depth_anything_v2"], "no points follow"),
        (["--depth", "nonsense"], "nonsense"),
        (["--depth", "moge2", "--depth-weights", "in.png"], "no weights at in.png"),
        (["--depth", "depth_pro", "--depth-weights", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_answered_in_a_line(more, said, scene, tiny_checkpoint, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(scene.rgb_HW3).save("in.png")
    given = ["--checkpoint", str(tiny_checkpoint), "--image", "in.png", "--masks", "in.png", "--out", "s.glb"]
    assert main([*given, *more]) in (1, EXIT_USAGE)
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
