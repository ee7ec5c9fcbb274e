"""Masks of another size than the image, and one mask of several things."""

import json

import numpy as np
import pytest
from PIL import Image

from pipelines.complete.inputs.mask_files.components import connected_components
from pipelines.complete.inputs.masks import read_masks
from pipelines.errors import PipelineError, UsageError

SIZE = (60, 40)
IDS = np.zeros((40, 60), np.uint8)
IDS[4:12, 8:24], IDS[20:36, 32:56] = 1, 2


def enlarged(values: np.ndarray, times: int) -> np.ndarray:
    return values.repeat(times, axis=0).repeat(times, axis=1)


def smaller(values: np.ndarray, times: int) -> np.ndarray:
    """The values at the centres of the larger pixels."""
    return values[times // 2 :: times, times // 2 :: times]


def saved(values: np.ndarray, path):
    Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize("times", [2, 3, 4])
def test_smaller_and_larger_masks_keep_their_place(times, tmp_path) -> None:
    size = SIZE[0] * times, SIZE[1] * times
    up = read_masks(saved(IDS, tmp_path / "small.png"), size)
    assert all((up.by_id[i] == enlarged(i == IDS, times)).all() for i in (1, 2))
    assert f"60x40 px, brought to the image's {size[0]}x{size[1]} by nearest pixels" in up.assumed[0]
    down = read_masks(saved(enlarged(IDS, times), tmp_path / "large.png"), SIZE)
    assert all((down.by_id[i] == (i == IDS)).all() for i in (1, 2))
    noise = np.random.default_rng(0).integers(0, 2, (40 * times, 60 * times), dtype=np.uint8)
    assert (read_masks(saved(noise, tmp_path / "0.png"), SIZE).by_id[1] == smaller(noise, times)).all()


@pytest.mark.parametrize(
    ("given", "image"), [((30, 21), (1000, 667)), ((256, 171), (640, 427)), ((639, 480), (640, 480))]
)
def test_a_side_that_was_rounded_is_the_same_shape(given, image, tmp_path) -> None:
    masks = read_masks(saved(np.ones(given[::-1], np.uint8), tmp_path / "a.png"), image)
    assert masks.by_id[1].shape == image[::-1]
    assert masks.by_id[1].all()


@pytest.mark.parametrize("given", [(60, 60), (60, 44), (120, 40), (20, 15)])
def test_another_shape_is_refused_with_what_to_do(given, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"60x40.*neither cropped nor padded"):
        read_masks(saved(np.ones(given[::-1], np.uint8), tmp_path / "a.png"), SIZE)


def test_masks_of_the_picture_before_it_was_turned_are_told(tmp_path) -> None:
    for times in (1, 2):
        with pytest.raises(UsageError, match="turned by 90 degrees"):
            read_masks(saved(enlarged(IDS.T, times), tmp_path / "a.png"), SIZE)


def test_a_mask_is_turned_as_its_own_exif_says(tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turned clockwise to be shown
    Image.fromarray(np.rot90(IDS)).save(tmp_path / "a.png", exif=exif)
    assert (read_masks(tmp_path / "a.png", SIZE).by_id[2] == (IDS == 2)).all()


def test_a_folder_of_masks_of_other_sizes_is_brought_to_the_image(tmp_path) -> None:
    saved((IDS == 1).astype(np.uint8) * 255, tmp_path / "1.png")
    saved(enlarged(IDS == 2, 2), tmp_path / "2.png")
    masks = read_masks(tmp_path, (120, 80))
    assert all((masks.by_id[i] == enlarged(i == IDS, 2)).all() for i in (1, 2))
    assert masks.assumed == (f"{tmp_path} is 60x40 px, brought to the image's 120x80 by nearest pixels",)
    saved(IDS.T, tmp_path / "3.png")
    with pytest.raises(UsageError, match=r"3\.png.*turned by 90 degrees"):
        read_masks(tmp_path, (120, 80))


def coco(path, annotations, **image):
    path.write_text(json.dumps({"images": [{"id": 1, "file_name": "a.png", **image}], "annotations": annotations}))
    return path


BOX = [[8, 4, 23, 4, 23, 11, 8, 11]]  # of 1, from the centre of its first pixel to that of its last
RUNS = {"size": [40, 60], "counts": [int(n) for n in np.diff(np.flatnonzero(np.diff(np.r_[2, IDS.T.ravel() == 2, 2])))]}


def test_coco_annotations_of_a_smaller_image_are_scaled(tmp_path) -> None:
    annotations = [{"id": 1, "image_id": 1, "segmentation": BOX}, {"id": 2, "image_id": 1, "segmentation": RUNS}]
    masks = read_masks(coco(tmp_path / "a.json", annotations, width=60, height=40), (180, 120))
    assert (masks.by_id[2] == enlarged(IDS == 2, 3)).all()
    rows, columns = np.nonzero(masks.by_id[1])
    # from centre to centre of the outer pixels, as polygons are drawn: a pixel of three less on each side
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (25, 70, 13, 34)
    assert "60x40 px, brought to the image's 180x120" in masks.assumed[0]


def test_coco_annotations_of_another_shape_or_a_larger_image_are_refused(tmp_path) -> None:
    one = [{"id": 1, "image_id": 1, "segmentation": BOX}]
    with pytest.raises(UsageError, match="turned by 90 degrees"):
        read_masks(coco(tmp_path / "a.json", one, width=40, height=60), SIZE)
    with pytest.raises(UsageError, match="neither cropped nor padded"):
        read_masks(coco(tmp_path / "a.json", [{"id": 1, "image_id": 1, "segmentation": RUNS}]), (60, 60))
    masks = read_masks(coco(tmp_path / "a.json", one), (20, 14))
    with pytest.raises(PipelineError, match="reaches to x = 23"):
        masks.by_id[1]


def test_parts_are_numbered_by_size_without_specks() -> None:
    mask = IDS > 0
    mask[0, 0] = mask[2, 50] = True  # specks
    mask[12, 24] = mask[13, 25] = True  # by a corner of the first
    parts, sizes = connected_components(mask)
    assert sizes == (16 * 24, 8 * 16 + 2)
    assert (parts == 1).sum() == sizes[0]
    assert parts[4, 8] == parts[13, 25] == 2
    assert parts[0, 0] == parts[2, 50] == 0
