"""Masks from clicks are what the library's own processor makes of the same network."""

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")

from tiny_sam import SIDE_PX, write_tiny_sam

from models.checkpoints import CheckpointError
from pipelines.complete.compute_device import ComputeDevice
from pipelines.complete.inputs.segment_anything import Segmenter, fed_size, full_size, network_input

CPU = ComputeDevice.choose("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_sam(tmp_path_factory.mktemp("sam"))


@pytest.fixture(scope="module")
def segmenter(folder):
    return Segmenter.from_pretrained(str(folder), CPU)


@pytest.fixture(scope="module")
def processor():
    """The library's, where this version of it can be had without torchvision."""
    library = pytest.importorskip("transformers.models.sam.image_processing_pil_sam")
    from transformers.models.sam import SamProcessor

    size = {"height": SIDE_PX, "width": SIDE_PX}
    return SamProcessor(library.SamImageProcessorPil(size={"longest_edge": SIDE_PX}, pad_size=size))


def picture(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size_px", [(176, 112), (90, 201), (128, 128), (300, 299), (5, 400)])
@pytest.mark.parametrize("clicks", [[[40, 60, 1]], [[40, 60, 1], [4, 20, 0], [3, 100, 1]]], ids=["one", "three"])
def test_a_click_gives_the_mask_of_the_library(segmenter, processor, size_px, clicks):
    rgb, points = picture(*size_px), np.array(clicks, float)
    given = {"input_points": [[points[:, :2].tolist()]], "input_labels": [[points[:, 2].astype(int).tolist()]]}
    inputs = processor(rgb, **given, return_tensors="pt")
    torch.testing.assert_close(network_input(rgb, SIDE_PX), inputs["pixel_values"], rtol=0, atol=1e-6)
    with torch.no_grad():
        output = segmenter.network(
            pixel_values=inputs["pixel_values"],
            input_points=inputs["input_points"].float(),
            input_labels=inputs["input_labels"],
            multimask_output=len(clicks) == 1,
        )
    masks = processor.image_processor.post_process_masks(
        output.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"]
    )[0]
    wanted = masks[0, int(output.iou_scores[0, 0].argmax())].numpy()
    mask = segmenter.mask(segmenter.embed(rgb), size_px, points[:, :2], points[:, 2] == 1)
    assert mask.shape == rgb.shape[:2] and mask.dtype == bool
    assert (mask != wanted).mean() < 1e-3  # rounding of logits near zero


def test_half_precision_finds_nearly_the_same_mask(segmenter, folder):
    half = Segmenter.from_pretrained(str(folder), ComputeDevice.choose("cpu", "bf16"))
    rgb, points, inside = picture(176, 112), np.array([[50.0, 60.0], [100.0, 20.0]]), np.array([True, True])
    masks = [one.mask(one.embed(rgb), (176, 112), points, inside) for one in (segmenter, half)]
    assert (masks[0] == masks[1]).mean() > 0.97


def test_half_precision_does_not_move_a_click(segmenter, folder):
    half = Segmenter.from_pretrained(str(folder), ComputeDevice.choose("cpu", "bf16"))
    embedding, points, inside = segmenter.embed(picture(176, 112)), np.array([[171.3, 60.7]]), np.array([True])
    masks = [one.mask(embedding, (176, 112), points, inside) for one in (segmenter, half)]
    np.testing.assert_array_equal(*masks)


def test_a_later_click_and_its_side_change_the_mask(segmenter):
    embedding, size_px = segmenter.embed(picture(176, 112)), (176, 112)
    points = np.array([[50.0, 60.0], [100.0, 20.0]])
    one = segmenter.mask(embedding, size_px, points[:1], np.array([True]))
    inside = segmenter.mask(embedding, size_px, points, np.array([True, True]))
    outside = segmenter.mask(embedding, size_px, points, np.array([True, False]))
    assert (one != inside).any() and (inside != outside).any()


def test_a_square_drawn_on_the_networks_side_comes_back_where_it_was_in_the_image():
    size_px = (640, 320)  # fed as 128 x 64, so 5 pixels of the image are one
    logits = torch.full((1, 32, 32), -1.0)
    logits[:, 4:8, 8:16] = 1.0  # cells of 4 pixels of the square, 20 of the image
    ys, xs = np.nonzero((full_size(logits, size_px, SIDE_PX) > 0).numpy())
    assert fed_size(size_px, SIDE_PX) == (128, 64)
    np.testing.assert_allclose([xs.min(), xs.max() + 1, ys.min(), ys.max() + 1], [160, 320, 80, 160], atol=1)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("/nowhere/sam", ["no such folder", "facebook/sam-vit-base", "375 MB", "--segmenter FOLDER"]),
        ("facebook/sam-vit-huge", ["could not be fetched", "2.56 GB", "config.json and model.safetensors"]),
    ],
)
def test_missing_weights_are_named_with_their_size_and_place(source, said, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError) as error:
        Segmenter.from_pretrained(source, CPU)
    assert all(part in str(error.value) for part in said), error.value
    assert "\n" not in str(error.value)


def test_weights_of_something_else_or_damaged_are_refused(folder, tmp_path):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError):
        Segmenter.from_pretrained(str(tmp_path), CPU)
    from safetensors.torch import load_file, save_file

    part = {name: value for name, value in load_file(folder / "model.safetensors").items() if "vision" in name}
    save_file(part, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="does not fill the network"):
        Segmenter.from_pretrained(str(tmp_path), CPU)
