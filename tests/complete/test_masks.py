"""Masks from every format that is taken, all of the same three objects."""

import json

import numpy as np
import pytest
from PIL import Image

from pipelines.complete.inputs.mask_files.segmentations import decode_counts, rle_to_mask
from pipelines.complete.inputs.masks import read_masks
from pipelines.errors import PipelineError, UsageError

WIDTH, HEIGHT = 9, 7
IDS = np.zeros((HEIGHT, WIDTH), np.uint16)
IDS[2:5, 3:7] = 300
IDS[0, 8] = IDS[6, 0] = 7
IDS[5, 1:3] = 8


def read(path, name=""):
    return read_masks(path, (WIDTH, HEIGHT), name).by_id


def test_ids_of_16_bits(tmp_path) -> None:
    Image.fromarray(IDS).save(tmp_path / "ids.png")
    masks = read(tmp_path / "ids.png")
    assert list(masks) == [7, 8, 300]
    assert all((masks[i] == (i == IDS)).all() for i in masks)


def test_ids_of_a_palette_image_are_its_indices(tmp_path) -> None:
    image = Image.fromarray(np.minimum(IDS, 9).astype(np.uint8)).convert("P")
    image.putpalette([5, 5, 5] * 256)
    image.save(tmp_path / "ids.png")
    assert list(read(tmp_path / "ids.png")) == [7, 8, 9]


@pytest.mark.parametrize("with_background", [True, False])
def test_every_colour_but_black_is_an_instance(tmp_path, with_background) -> None:
    colours = np.zeros((HEIGHT, WIDTH, 3), np.uint8) if with_background else np.full((HEIGHT, WIDTH, 3), 250, np.uint8)
    colours[IDS == 300], colours[IDS == 7], colours[IDS == 8] = (255, 0, 0), (0, 0, 9), (0, 200, 0)
    Image.fromarray(colours).save(tmp_path / "colours.png")
    masks = read(tmp_path / "colours.png")
    assert list(masks) == ([1, 2, 3] if with_background else [1, 2, 3, 4])
    assert (masks[3 if with_background else 4] == (IDS == 300)).all()


def test_a_folder_of_masks_names_its_instances_by_number(tmp_path) -> None:
    for i in (300, 7):
        Image.fromarray(((i == IDS) * 255).astype(np.uint8)).save(tmp_path / f"{i}.png")
    masks = read(tmp_path)
    assert sorted(masks) == [7, 300]
    assert (masks[7] == (IDS == 7)).all()


def test_a_folder_of_named_masks_is_counted_in_order(tmp_path) -> None:
    for name, i in (("lamp", 300), ("chair", 8)):
        Image.fromarray((i == IDS).astype(np.uint8)).save(tmp_path / f"{name}.png")
    masks = read(tmp_path)
    assert (masks[1] == (IDS == 8)).all()
    assert (masks[2] == (IDS == 300)).all()


def test_coco_with_polygons_and_both_kinds_of_run_lengths(tmp_path) -> None:
    runs = [6, 1, 49, 1, 6]  # instance 7, down the columns
    annotations = [
        {"id": 300, "image_id": 2, "segmentation": [[3, 2, 6, 2, 6, 4, 3, 4]]},
        {"id": 7, "image_id": 2, "segmentation": {"size": [HEIGHT, WIDTH], "counts": runs}},
        {"id": 1, "image_id": 1, "segmentation": [[0, 0, 1, 0, 1, 1]]},
    ]
    images = [{"id": 1, "file_name": "other.png"}, {"id": 2, "file_name": "a/room.png"}]
    path = tmp_path / "coco.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    masks = read(path, "room.png")
    assert sorted(masks) == [7, 300]
    assert all((masks[i] == (i == IDS)).all() for i in masks)


def test_compressed_run_lengths_as_pycocotools_writes_them() -> None:
    mask = (IDS == 300) | (IDS == 7)
    mask[3, 4] = False
    assert (rle_to_mask(decode_counts("61`02DNM032005NM"), WIDTH, HEIGHT) == mask).all()  # pycocotools 2.0.11
    assert sum(decode_counts("Ui0i0?0000")) > 800


def test_what_does_not_fit_is_said(tmp_path) -> None:
    Image.fromarray(IDS[:3]).save(tmp_path / "small.png")
    with pytest.raises(UsageError, match="9x3 px and the image 9x7: their shapes differ"):
        read(tmp_path / "small.png")
    (tmp_path / "no.json").write_text('{"boxes": []}')
    with pytest.raises(PipelineError, match="no COCO"):
        read(tmp_path / "no.json")
    with pytest.raises(UsageError, match="holds no mask images"):
        read((tmp_path / "empty").mkdir() or tmp_path / "empty")
    with pytest.raises(PipelineError, match="do not fill"):
        rle_to_mask([3, 4], WIDTH, HEIGHT)


def test_a_picture_is_not_taken_for_masks(tmp_path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (80, 80, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    with pytest.raises(UsageError, match="one colour an instance"):
        read_masks(tmp_path / "photo.png", (80, 80))
