"""MoGe-2 beside its authors' own network, from one checkpoint: a whole picture to metric depth, mask and intrinsics.

Runs where `moge` is installed. The index has it as dlr-moge: pip install --no-deps dlr-moge dlr-utils3d==1.3
opencv-python-headless moderngl glcontext (its torchvision is used for training alone).
"""

import math

import numpy as np
import pytest
import scipy.optimize
import torch
from estimator_networks import write_moge

from models.checkpoints import CheckpointError
from models.depth_estimators.moge2 import Moge2
from pipelines.complete.compute_device import ComputeDevice
from pipelines.complete.inputs.estimators import LoadedEstimator
from pipelines.complete.view import Camera

v2 = pytest.importorskip("moge.model.v2")
SIZES = [(60, 60), (48, 64), (64, 48), (45, 80), (50, 51), (70, 140)]  # height, width; square, and up to 2 : 1
pytestmark = pytest.mark.filterwarnings("ignore:In CPU autocast")  # it asks for float32, which the CPU does anyway


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_moge(tmp_path_factory.mktemp("moge"))


@pytest.fixture(scope="module")
def theirs(weights):
    return v2.MoGeModel.from_pretrained(weights).eval()


@pytest.fixture(scope="module")
def ours(weights):
    return LoadedEstimator.load("moge2", weights, ComputeDevice.choose("cpu"))


@pytest.fixture
def solved_to_the_end(monkeypatch):
    """Their search for focal length and shift stops when a step gains less than a thousandth; ours goes on."""
    monkeypatch.setattr(scipy.optimize, "least_squares", to_the_end(scipy.optimize.least_squares))


def to_the_end(least_squares):
    return lambda *args, **options: least_squares(*args, **{**options, "ftol": 1e-12, "xtol": 1e-12, "gtol": 1e-12})


def picture(size):
    return np.random.default_rng(sum(size)).integers(0, 256, (*size, 3), dtype=np.uint8)


def infer(network, rgb, fov_deg=None):
    """(depth in metres, inf where masked; intrinsics in units of the picture's size), as their users ask for it."""
    found = network.infer(torch.from_numpy(rgb).permute(2, 0, 1) / 255, fov_x=fov_deg, use_fp16=False)
    return found["depth"].numpy(), found["intrinsics"].numpy()


def assert_same_depth(ours_HW, theirs_HW, rtol):
    np.testing.assert_array_equal(np.isfinite(ours_HW), np.isfinite(theirs_HW))
    valid = np.isfinite(theirs_HW)
    assert 0.5 < valid.mean() < 1
    np.testing.assert_allclose(ours_HW[valid], theirs_HW[valid], rtol=rtol)


@pytest.mark.parametrize("size", SIZES)
def test_depth_mask_and_intrinsics_of_a_picture_are_theirs(size, ours, theirs, solved_to_the_end):
    rgb = picture(size)
    depth_HW, K_norm = infer(theirs, rgb)
    estimate = ours(rgb, None)
    assert_same_depth(estimate.depth_HW, depth_HW, rtol=1e-4)
    np.testing.assert_allclose(estimate.camera.K_px, np.diag([size[1], size[0], 1.0]) @ K_norm, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_with_a_known_field_of_view_the_depth_is_theirs(size, ours, theirs, solved_to_the_end):
    rgb, known = picture(size), Camera.from_fov(math.radians(50), (size[1], size[0]))
    depth_HW, _ = infer(theirs, rgb, fov_deg=50)
    assert_same_depth(ours(rgb, known).depth_HW, depth_HW, rtol=1e-4)


def test_their_early_stop_is_all_that_differs_without_it(ours, theirs):
    rgb = picture((60, 60))
    depth_HW, K_norm = infer(theirs, rgb)
    estimate = ours(rgb, None)
    assert_same_depth(estimate.depth_HW, depth_HW, rtol=1e-2)
    assert estimate.camera.K_px[0, 0] == pytest.approx(60 * K_norm[0, 0], rel=1e-2)


def test_several_pictures_at_once_give_their_depth(weights, theirs, solved_to_the_end):
    rgbs = [picture((48, 64)), picture((64, 48)), 255 - picture((48, 64))]
    for found, rgb in zip(Moge2.load(weights)(rgbs), rgbs, strict=True):
        assert_same_depth(found.map_HW, infer(theirs, rgb)[0], rtol=1e-4)


def test_a_checkpoint_of_version_1_is_refused(tmp_path):
    v1 = pytest.importorskip("moge.model.v1")
    config = {"encoder": "dinov2_vits14", "intermediate_layers": 1, "dim_proj": 32, "dim_upsample": [32, 32, 32]}
    network = v1.MoGeModel(**config)
    torch.save({"model_config": config, "model": network.state_dict()}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"MoGe of version 1.*give the model.pt of version 2"):
        Moge2.load(tmp_path / "model.pt")
