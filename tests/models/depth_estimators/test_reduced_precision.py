"""bfloat16 goes through every adapter: it is what CUDA uses, here on the CPU."""

import numpy as np
import pytest
from estimator_networks import write_depth_anything, write_depth_pro, write_moge

from models.depth_estimators.registry import load_depth_estimator

WRITERS = {"depth_anything_v2": write_depth_anything, "depth_pro": write_depth_pro, "moge2": write_moge}


@pytest.mark.parametrize("name", WRITERS)
def test_maps_in_bfloat16_are_float32_and_nearly_those_of_float32(name, tmp_path, photographs):
    weights = WRITERS[name](tmp_path)
    (exact,), (reduced,) = (load_depth_estimator(name, weights, half=half)(photographs[:1]) for half in (False, True))
    common = np.isfinite(exact.map_HW) & np.isfinite(reduced.map_HW)
    assert reduced.map_HW.dtype == np.float32 and common.mean() > 0.3
    assert not np.array_equal(reduced.map_HW[common], exact.map_HW[common])
    error = np.abs(reduced.map_HW - exact.map_HW)[common] / np.maximum(exact.map_HW[common], 1e-3)
    assert np.median(error) < 0.1
