"""Depth Anything V2, against the library's own processor and network."""

import numpy as np
import pytest
import torch
from estimator_networks import write_depth_anything

from models.checkpoints import CheckpointError
from models.depth_estimators.depth_anything_v2 import DepthAnythingV2, Preparation


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_depth_anything(tmp_path_factory.mktemp("depth_anything"))


@pytest.fixture(scope="module")
def folder(weights):
    return weights.parent


@pytest.fixture(scope="module")
def estimator(weights):
    return DepthAnythingV2.load(weights)


def library_processor(folder):
    pil = pytest.importorskip("transformers.models.dpt.image_processing_pil_dpt")
    return pil.DPTImageProcessorPil.from_pretrained(folder)


def test_images_are_prepared_as_the_library_does(folder, photographs):
    ours, theirs = Preparation.read(folder), library_processor(folder)
    for rgb in [*photographs, np.zeros((200, 90, 3), np.uint8)]:
        wanted = theirs(images=rgb, return_tensors="pt")["pixel_values"][0]
        assert ours(rgb).shape == wanted.shape
        torch.testing.assert_close(ours(rgb), wanted, atol=1e-6, rtol=1e-5)


def test_how_to_prepare_images_is_read_from_the_librarys_own_file(folder, tmp_path):
    library_processor(folder).save_pretrained(tmp_path)
    assert Preparation.read(tmp_path) == Preparation.read(folder)


def test_maps_are_those_of_the_librarys_pipeline(folder, estimator, photographs):
    from transformers.models.depth_anything import DepthAnythingForDepthEstimation

    network, processor = DepthAnythingForDepthEstimation.from_pretrained(folder).eval(), library_processor(folder)
    for rgb, prediction in zip(photographs, estimator(photographs), strict=True):
        with torch.inference_mode():
            output = network(**processor(images=rgb, return_tensors="pt"))
        (theirs,) = processor.post_process_depth_estimation(output, target_sizes=[rgb.shape[:2]])
        np.testing.assert_allclose(prediction.map_HW, theirs["predicted_depth"].clamp(min=0), rtol=1e-4, atol=1e-6)
        assert prediction.map_HW.std() > 0


def test_a_batch_gives_what_single_images_give(estimator, photographs):
    together = estimator(photographs)
    for rgb, prediction in zip(photographs, together, strict=True):
        (alone,) = estimator([rgb])
        np.testing.assert_allclose(prediction.map_HW, alone.map_HW, rtol=1e-4, atol=1e-6)
        assert prediction.map_HW.shape == rgb.shape[:2] and prediction.map_HW.dtype == np.float32


def test_a_checkpoint_that_does_not_fill_the_network_is_refused(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    partial = {key: value for key, value in state.items() if "head.conv1" not in key}
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_text((folder / name).read_text())
    save_file(partial, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"2 weights missing.*head.conv1"):
        DepthAnythingV2.load(tmp_path / "model.safetensors")


def test_the_metric_variant_is_refused_because_it_predicts_depth(tmp_path):
    with pytest.raises(CheckpointError, match="metric Depth Anything"):
        DepthAnythingV2.load(write_depth_anything(tmp_path, "metric"))


def test_a_checkpoint_without_its_processor_is_refused(folder, tmp_path):
    with pytest.raises(CheckpointError, match="how to prepare images"):
        Preparation.read(tmp_path)


@pytest.mark.parametrize("content", [b"hello", b""])
def test_a_damaged_file_is_refused_in_one_line(folder, tmp_path, content):
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_text((folder / name).read_text())
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"^[^\n]*holds no depth_anything_v2 in the transformers layout[^\n]*$"):
        DepthAnythingV2.load(tmp_path / "model.safetensors")


def test_a_file_that_the_library_would_pass_over_is_refused(folder):
    with pytest.raises(CheckpointError, match=r"has model\.safetensors beside"):
        DepthAnythingV2.load(folder / "other.safetensors")
