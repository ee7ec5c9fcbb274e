"""VGGT: what surrounds the network. The network itself is the authors' package, which PyPI does not have."""

import importlib.util
import inspect
import math

import numpy as np
import pytest
import torch

from scenegen.annotate.protocol import Request
from scenegen.annotate.vggt import MAX_OTHER_VIEWS, Vggt, input_size, prepare
from scenegen.annotate.weights import MissingWeightsError, Weights

INSTALLED = importlib.util.find_spec("vggt") is not None


class Recorder:
    """Shaped as the network is: (1, S, 3, h, w) to maps; brightness is depth, and it keeps what it was shown."""

    def __init__(self):
        self.shown = []

    def __call__(self, images):
        self.shown.append(images)
        assert images.ndim == 5 and images.shape[2] == 3 and images.shape[-1] % 14 == images.shape[-2] % 14 == 0
        depth = 1 + images.mean(dim=2)
        pose = torch.zeros(*images.shape[:2], 9)
        pose[..., 7], pose[..., 8] = math.radians(50), math.radians(90)
        return {"depth": depth[..., None], "depth_conf": 1 + 10 * images[:, :, 0], "pose_enc": pose}


@pytest.fixture
def shown():
    return Recorder()


def estimator(network, most=MAX_OTHER_VIEWS, seed=0):
    return Vggt(network, torch.device("cpu"), most, seed)


def flat(value, size=(60, 80)):
    return np.full((*size, 3), value, np.uint8)


def test_the_map_is_that_of_the_view_itself_not_of_its_companions(shown):
    request = Request(0, 0, flat(255), ((1, flat(0)), (2, flat(0))))
    (prediction,) = estimator(shown).predict([request])
    assert shown.shown[0].shape[1] == 3
    np.testing.assert_allclose(prediction.map, 2.0)
    np.testing.assert_allclose(prediction.confidence, 11.0)
    assert prediction.map.shape == prediction.confidence.shape == (60, 80)


def test_the_focal_length_is_given_for_the_views_own_size(shown):
    (prediction,) = estimator(shown).predict([Request(0, 0, flat(9))])
    assert prediction.focal_px == pytest.approx(40.0)  # 90 degrees over 80 pixels


def test_half_of_the_views_are_seen_alone_and_the_others_with_up_to_seven_more(shown):
    chosen = [estimator(shown).companions(0, view, range(30)) for view in range(30)]
    chosen += [estimator(shown).companions(1, view, range(30)) for view in range(30)]
    alone = sum(not companions for companions in chosen)
    assert 18 <= alone <= 42
    assert {len(companions) for companions in chosen if companions} == set(range(1, 8))
    for number, companions in enumerate(chosen):
        assert len(set(companions)) == len(companions) and number % 30 not in companions


def test_companions_are_the_same_in_every_run_and_differ_between_seeds(shown):
    def draw(seed):
        return [estimator(shown, seed=seed).companions(3, view, range(12)) for view in range(12)]

    assert draw(0) == draw(0) != draw(1)


def test_a_scene_of_one_view_has_no_companions(shown):
    assert all(estimator(shown).companions(s, 0, [0]) == () for s in range(9))
    assert all(estimator(shown, most=0).companions(s, 0, range(9)) == () for s in range(9))


def test_images_keep_their_shape_in_multiples_of_a_patch():
    assert input_size(1024, 1024) == (518, 518)
    assert input_size(480, 640) == (392, 518)
    assert input_size(640, 480) == (518, 392)
    image = prepare(flat(255), (392, 518))
    assert image.shape == (3, 392, 518) and float(image.max()) == 1.0


@pytest.mark.skipif(INSTALLED, reason="the package vggt is installed")
def test_without_its_package_it_says_what_to_install(tmp_path):
    with pytest.raises(MissingWeightsError, match=r"PyPI has no release.*pip install git\+https"):
        Vggt.load(Weights(tmp_path, tmp_path / "model.safetensors", "x", ""), "cpu")


@pytest.mark.skipif(not INSTALLED, reason="needs the authors' package vggt")
def test_the_package_still_offers_what_the_adapter_uses():
    from vggt.models.vggt import VGGT

    assert {"point_head", "track_head", "depth_head"} <= set(VGGT.forward.__code__.co_names)
    assert "images" in inspect.signature(VGGT.forward).parameters
