"""bfloat16 goes through every adapter: it is what CUDA uses, here on the CPU."""

import numpy as np
import pytest
import torch
from annotate_networks import requests_of, weights_in, write_depth_anything, write_depth_pro, write_moge

from scenegen.annotate import depth_anything_v2, depth_pro, moge2

CASES = {
    "depth_anything_v2": (depth_anything_v2, depth_anything_v2.DepthAnythingV2, write_depth_anything),
    "depth_pro": (depth_pro, depth_pro.DepthPro, write_depth_pro),
    "moge2": (moge2, moge2.Moge2, write_moge),
}


@pytest.mark.parametrize("name", CASES)
def test_maps_in_bfloat16_are_float32_and_nearly_those_of_float32(name, tmp_path, photographs, monkeypatch):
    module, adapter, write = CASES[name]
    estimator = adapter.load(weights_in(write(tmp_path), "model.pt" if name == "moge2" else "model.safetensors"), "cpu")
    (exact,) = estimator.predict(requests_of(photographs[:1]))
    monkeypatch.setattr(module, "reduced_precision", lambda device: torch.autocast("cpu", dtype=torch.bfloat16))
    (reduced,) = estimator.predict(requests_of(photographs[:1]))
    common = np.isfinite(exact.map) & np.isfinite(reduced.map)
    assert reduced.map.dtype == np.float32 and common.mean() > 0.3
    assert np.median(np.abs(reduced.map - exact.map)[common] / np.maximum(exact.map[common], 1e-3)) < 0.1
