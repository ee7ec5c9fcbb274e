"""MoGe-2: the adapter around our network, from a checkpoint in its authors' layout.

That the network computes what the authors' does is stated by tests/parity.
"""

import numpy as np
import pytest
import torch
from estimator_networks import write_moge

from models.checkpoints import CheckpointError
from models.depth_estimators.images import stacked
from models.depth_estimators.moge2 import Moge2, token_grid
from models.point_map_camera import metric_geometry
from models.registry import build


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_moge(tmp_path_factory.mktemp("moge"))


@pytest.fixture(scope="module")
def estimator(weights):
    return Moge2.load(weights)


def test_it_gives_the_metric_depth_and_focal_length_of_the_network(weights, estimator, photographs):
    checkpoint = torch.load(weights)
    network = build("MoGeModel", checkpoint["model_config"]).eval()
    network.load_state_dict(checkpoint["model"])
    for rgb, prediction in zip(photographs, estimator(photographs), strict=True):
        with torch.inference_mode():
            grid = token_grid(network.config.num_tokens_range[1], rgb.shape[1] / rgb.shape[0])
            wanted = metric_geometry(network(stacked([rgb], torch.device("cpu")), grid=grid))
        valid = wanted.mask_BHW[0].numpy()
        assert prediction.map_HW.shape == rgb.shape[:2]
        np.testing.assert_array_equal(np.isfinite(prediction.map_HW), valid)
        np.testing.assert_allclose(prediction.map_HW[valid], wanted.depth_BHW[0].numpy()[valid], rtol=1e-3)
        assert prediction.focal_px == pytest.approx(float(wanted.K_norm_B33[0, 0, 0]) * rgb.shape[1], rel=1e-3)


def test_what_the_network_masks_out_is_nan(estimator, photographs):
    (prediction, *_) = estimator(photographs[:1])
    assert 0 < np.isnan(prediction.map_HW).mean() < 1
    assert (prediction.map_HW[np.isfinite(prediction.map_HW)] > 0).all()


def test_a_network_without_metric_scale_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="version 2"):
        Moge2.load(write_moge(tmp_path, scale_head=None))


def test_a_checkpoint_that_does_not_fill_the_network_is_refused(weights, tmp_path):
    checkpoint = torch.load(weights)
    del checkpoint["model"]["neck.input_blocks.1.weight"]
    torch.save(checkpoint, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"1 missing: neck\.input_blocks\.1\.weight"):
        Moge2.load(tmp_path / "model.pt")


def test_another_files_checkpoint_is_refused(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="which network it holds"):
        Moge2.load(tmp_path / "model.pt")


def test_the_grid_of_tokens_has_the_shape_of_the_image_rounded_to_the_nearest():
    assert token_grid(3600, 1.0) == (60, 60)
    assert token_grid(3600, 4 / 3) == (52, 69)  # 51.96 and 69.28
    assert token_grid(3600, 3 / 4) == (69, 52)
