"""bfloat16 goes through every adapter: it is what CUDA uses, here on the CPU."""

import json

import numpy as np
import pytest
import torch
from estimator_networks import write_depth_anything, write_depth_pro, write_moge
from safetensors.torch import load_file, save_file

from models.depth_estimators.registry import load_depth_estimator

WRITERS = {"depth_anything_v2": write_depth_anything, "depth_pro": write_depth_pro, "moge2": write_moge}

HEADS = {
    "depth_anything_v2": ["head"],
    "depth_pro": ["head", "fov_model.head"],
    "moge2": ["points_head.output_blocks.4"],
}


@pytest.mark.parametrize("name", WRITERS)
def test_maps_in_bfloat16_are_float32_and_nearly_those_of_float32(name, tmp_path, photographs):
    weights = WRITERS[name](tmp_path)
    (exact,), (reduced,) = (load_depth_estimator(name, weights, half=half)(photographs[:1]) for half in (False, True))
    common = np.isfinite(exact.map_HW) & np.isfinite(reduced.map_HW)
    assert reduced.map_HW.dtype == np.float32 and common.mean() > 0.3
    assert not np.array_equal(reduced.map_HW[common], exact.map_HW[common])
    error = np.abs(reduced.map_HW - exact.map_HW)[common] / np.maximum(exact.map_HW[common], 1e-3)
    assert np.median(error) < 0.1


@pytest.mark.parametrize("name", WRITERS)
def test_what_a_head_answers_is_not_rounded_to_bfloat16(name, tmp_path, photographs):
    estimator = load_depth_estimator(name, WRITERS[name](tmp_path), half=True)
    answers = []
    for head in HEADS[name]:
        estimator.network.get_submodule(head).register_forward_hook(lambda *call: answers.append(call[-1]))
    estimator(photographs[:1])
    assert len(answers) == len(HEADS[name])
    for answer in answers:
        assert answer.dtype == torch.float32 and not torch.equal(answer.bfloat16().float(), answer)


@pytest.mark.parametrize("name", ["depth_anything_v2", "depth_pro"])
def test_weights_stored_in_half_precision_compute_in_float32(name, tmp_path):
    weights, config = WRITERS[name](tmp_path), tmp_path / "config.json"
    save_file({key: value.half() for key, value in load_file(weights).items()}, weights, {"format": "pt"})
    config.write_text(json.dumps({**json.loads(config.read_text()), "dtype": "float16"}))
    network = load_depth_estimator(name, weights).network
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


@pytest.mark.gpu
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", WRITERS)
def test_maps_on_a_gpu_are_nearly_those_of_the_cpu(name, half, tmp_path, photographs):
    weights = WRITERS[name](tmp_path)
    there, here = (
        load_depth_estimator(name, weights, "cuda", half)(photographs),
        load_depth_estimator(name, weights)(photographs),
    )
    for ours, theirs in zip(there, here, strict=True):
        common = np.isfinite(ours.map_HW) & np.isfinite(theirs.map_HW)
        error = np.abs(ours.map_HW - theirs.map_HW)[common] / np.maximum(theirs.map_HW[common], 1e-3)
        assert common.mean() > 0.3 and np.median(error) < (0.1 if half else 0.01)
