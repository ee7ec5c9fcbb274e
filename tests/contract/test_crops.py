"""The crop of a clean view."""

import numpy as np
import pytest

from scenegen.contract.crops import object_crop, premultiplied


def white_box(rows: slice, columns: slice, alpha: int = 255) -> np.ndarray:
    rgba = np.zeros((40, 60, 4), np.uint8)
    rgba[..., :3] = 200  # colours that transparency hides
    rgba[rows, columns] = (255, 255, 255, alpha)
    return rgba


def test_the_object_is_centred_and_its_longer_side_fills_one_part_in_1_2():
    crop = object_crop(white_box(slice(5, 15), slice(40, 60)), 120)
    rows, columns = np.nonzero(crop[..., 0] > 127)
    assert (columns.min(), columns.max() + 1) == (10, 110)
    assert (rows.min(), rows.max() + 1) == (35, 85)


def test_beyond_the_image_and_around_the_object_it_is_black():
    crop = object_crop(white_box(slice(0, 40), slice(10, 20)), 96)
    assert crop[:7].max() < 16 and crop[-7:].max() < 16  # Lanczos rings a little
    assert crop[:, :30].max() == 0 and crop[48, 48].min() == 255


def test_half_transparent_parts_are_half_as_bright():
    assert object_crop(white_box(slice(5, 15), slice(5, 15), alpha=128), 24)[12, 12].tolist() == [128] * 3
    np.testing.assert_array_equal(premultiplied(np.array([255, 100, 0, 51], np.uint8)), [51, 20, 0])


def test_an_empty_view_has_no_crop():
    with pytest.raises(ValueError, match="nothing is seen"):
        object_crop(np.zeros((8, 8, 4), np.uint8), 16)
