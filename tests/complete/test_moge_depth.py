"""Depth and camera by MoGe-2: the real network's code with a small backbone and random weights."""

import numpy as np
import pytest
import torch

from models.registry import build
from pipelines.complete.computer import Computer
from pipelines.complete.depth import estimate_with_moge
from pipelines.complete.view import Camera


@pytest.fixture(scope="module")
def moge():
    def stack(dim_in, last, blocks):
        return {
            "dim_in": dim_in,
            "dim_out": [None, None, None, None, last] if last else None,
            "dim_res_blocks": [16, 8, 8, 8, 8],
            "num_res_blocks": [0, blocks, blocks, blocks, 0],
            "res_block_in_norm": "none",
            "res_block_hidden_norm": "none",
            "resamplers": ["conv_transpose", "conv_transpose", "conv_transpose", "bilinear"],
        }

    config = {
        "encoder": {"backbone": "dinov2_vits14", "intermediate_layers": 2, "dim_out": 16},
        "neck": stack([18, 2, 2, 2, 2], None, 1),
        "points_head": stack([16, 8, 8, 8, 8], 3, 1),
        "scale_head": {"dims": [384, 8, 1]},
        "remap_output": "exp",
        "num_tokens_range": [16, 30],
    }
    torch.manual_seed(3)
    return build("MoGeModel", config).eval()


def test_depth_has_the_images_own_shape_and_its_camera_comes_with_it(moge, scene) -> None:
    estimate = estimate_with_moge(moge, scene.rgb_HW3, None, Computer.choose("cpu"))
    assert estimate.depth_HW.shape == scene.depth_HW.shape
    assert np.nanmin(estimate.depth_HW) > 0
    height, width = scene.depth_HW.shape
    K = estimate.camera.K_px
    np.testing.assert_allclose(K[:2, 2], [width / 2, height / 2], rtol=1e-5)
    assert K[0, 0] == pytest.approx(K[1, 1], rel=1e-5)


def test_a_known_camera_is_kept(moge, scene) -> None:
    known = Camera.from_fov(0.9, scene.depth_HW.shape[::-1])
    told = estimate_with_moge(moge, scene.rgb_HW3, known, Computer.choose("cpu"))
    free = estimate_with_moge(moge, scene.rgb_HW3, None, Computer.choose("cpu"))
    assert told.camera is known
    assert not np.allclose(told.depth_HW, free.depth_HW, equal_nan=True)
