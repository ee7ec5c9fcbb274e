"""VGGT: what surrounds the network. The network itself is the authors' package, which PyPI does not have."""

import importlib.util
import inspect
import math

import numpy as np
import pytest
import torch
from torch import nn

from models.checkpoints import CheckpointError
from models.depth_estimators.vggt import Vggt, input_size, prepare

INSTALLED = importlib.util.find_spec("vggt") is not None


class Recorder(nn.Module):
    """Shaped as the network is: (B, S, 3, h, w) to maps; brightness is depth, and it keeps what it was shown."""

    def __init__(self):
        super().__init__()
        self.shown, self.weight = [], nn.Parameter(torch.ones(1))

    def forward(self, images):
        self.shown.append(images)
        assert images.ndim == 5 and images.shape[2] == 3 and images.shape[-1] % 14 == images.shape[-2] % 14 == 0
        depth = 1 + images.mean(dim=2)
        pose = torch.zeros(*images.shape[:2], 9)
        pose[..., 7], pose[..., 8] = math.radians(50), math.radians(90)
        return {"depth": depth[..., None], "depth_conf": 1 + 10 * images[:, :, 0], "pose_enc": pose}


@pytest.fixture
def estimator():
    return Vggt(Recorder())


def flat(value, size=(60, 80)):
    return np.full((*size, 3), value, np.uint8)


def test_the_map_is_that_of_the_view_itself_not_of_its_companions(estimator):
    (found,) = estimator.first_of([[flat(255), flat(0), flat(0)]])
    assert estimator.network.shown[0].shape[1] == 3
    np.testing.assert_allclose(found.map_HW, 2.0)
    np.testing.assert_allclose(found.confidence_HW, 11.0)
    assert found.map_HW.shape == found.confidence_HW.shape == (60, 80)


def test_pictures_are_seen_alone_unless_others_are_given(estimator):
    assert len(estimator([flat(9), flat(8)])) == 2
    assert [images.shape[:2] for images in estimator.network.shown] == [(2, 1)]


def test_groups_of_one_length_and_size_go_together_and_answers_keep_their_order():
    estimator = Vggt(Recorder(), batch_size=4)
    groups = [[flat(0)], [flat(51), flat(9)], [flat(102)], [flat(153, (80, 60))], [flat(204), flat(9)], [flat(255)] * 9]
    found = estimator.first_of(groups)
    assert [one.map_HW.shape for one in found] == [group[0].shape[:2] for group in groups]
    np.testing.assert_allclose([one.map_HW[0, 0] for one in found], [1, 1.2, 1.4, 1.6, 1.8, 2], rtol=1e-6)
    assert [images.shape[:2] for images in estimator.network.shown] == [(2, 1), (2, 2), (1, 1), (1, 9)]


def test_the_focal_length_is_given_for_the_views_own_size(estimator):
    (found,) = estimator([flat(9)])
    assert found.focal_px == pytest.approx(40.0)  # 90 degrees over 80 pixels


def test_images_keep_their_shape_in_multiples_of_a_patch():
    assert input_size(1024, 1024) == (518, 518)
    assert input_size(480, 640) == (392, 518)
    assert input_size(640, 480) == (518, 392)
    image = prepare(flat(255), (392, 518))
    assert image.shape == (3, 392, 518) and float(image.max()) == 1.0


@pytest.mark.skipif(INSTALLED, reason="the package vggt is installed")
def test_without_its_package_it_says_what_to_install(tmp_path):
    with pytest.raises(CheckpointError, match=r"PyPI has no release.*pip install git\+https"):
        Vggt.load(tmp_path / "model.safetensors")


@pytest.mark.skipif(not INSTALLED, reason="needs the authors' package vggt")
def test_the_package_still_offers_what_the_adapter_uses():
    from vggt.models.vggt import VGGT

    assert {"point_head", "track_head", "depth_head"} <= set(VGGT.forward.__code__.co_names)
    assert "images" in inspect.signature(VGGT.forward).parameters
