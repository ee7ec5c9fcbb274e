"""MoGe-2: the adapter around our network, from a checkpoint in its authors' layout.

That the network computes what the authors' does is stated by tests/parity.
"""

import numpy as np
import pytest
import torch
from annotate_networks import requests_of, weights_in, write_moge

from models.point_map_camera import metric_geometry
from models.registry import build
from scenegen.annotate.moge2 import Moge2
from scenegen.annotate.torch_setup import stacked
from scenegen.errors import SceneGenError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_moge(tmp_path_factory.mktemp("moge"))


@pytest.fixture(scope="module")
def estimator(folder):
    return Moge2.load(weights_in(folder, "model.pt"), "cpu")


def test_it_gives_the_metric_depth_and_focal_length_of_the_network(folder, estimator, photographs):
    checkpoint = torch.load(folder / "model.pt")
    network = build("MoGeModel", checkpoint["model_config"]).eval()
    network.load_state_dict(checkpoint["model"])
    for rgb, prediction in zip(photographs, estimator.predict(requests_of(photographs)), strict=True):
        with torch.inference_mode():
            wanted = metric_geometry(network(stacked([rgb], torch.device("cpu"))))
        valid = wanted.mask_BHW[0].numpy()
        assert prediction.map.shape == rgb.shape[:2]
        np.testing.assert_array_equal(np.isfinite(prediction.map), valid)
        np.testing.assert_allclose(prediction.map[valid], wanted.depth_BHW[0].numpy()[valid], rtol=1e-3)
        assert prediction.focal_px == pytest.approx(float(wanted.K_norm_B33[0, 0, 0]) * rgb.shape[1], rel=1e-3)


def test_what_the_network_masks_out_is_nan(estimator, photographs):
    (prediction, *_) = estimator.predict(requests_of(photographs[:1]))
    assert 0 < np.isnan(prediction.map).mean() < 1
    assert (prediction.map[np.isfinite(prediction.map)] > 0).all()


def test_a_network_without_metric_scale_is_refused(tmp_path):
    write_moge(tmp_path, scale_head=None)
    with pytest.raises(SceneGenError, match="version 2"):
        Moge2.load(weights_in(tmp_path, "model.pt"), "cpu")


def test_a_checkpoint_that_does_not_fill_the_network_is_refused(folder, tmp_path):
    checkpoint = torch.load(folder / "model.pt")
    del checkpoint["model"]["neck.input_blocks.1.weight"]
    torch.save(checkpoint, tmp_path / "model.pt")
    with pytest.raises(SceneGenError, match=r"1 missing: neck\.input_blocks\.1\.weight"):
        Moge2.load(weights_in(tmp_path, "model.pt"), "cpu")


def test_another_files_checkpoint_is_refused(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "model.pt")
    with pytest.raises(SceneGenError, match="which network it holds"):
        Moge2.load(weights_in(tmp_path, "model.pt"), "cpu")
