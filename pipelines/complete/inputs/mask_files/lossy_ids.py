"""Ids that were changed after they were written: by lossy compression, or by scaling with interpolation.

Ids cannot be mixed: the mean of 3 and 9 is 6, which is another object.
Shapes: C channels, H W image, R runs of equal pixels along the rows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import maximum_filter

LOSSY_FORMATS = ("JPEG", "MPO", "AVIF", "HEIF", "JXL")
LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")
LONGEST_RUN_PX = 3  # of mixed pixels: scaling by up to four makes of an outline no longer ones
ALONE_COUNTS = 1.5  # weight of a pixel that equals none of its neighbours, against a mixed one
MOST_MIXED = 0.22  # share of the changes along rows and columns; measurements are in the README
MOST_MIXED_OF_FEW, FEW_CHANGES = 0.33, 200  # with few changes, chance has more influence
BLACK, WHITE, HALF = 3, 252, 128
BLOCK_PX = 8  # of a JPEG: it makes noise up to this distance from an outline


def lossy_format(path: Path, image: Image.Image) -> str:
    """The format of the file if it is lossy; else empty. image: as it was opened."""
    kind = image.format or ""
    if kind in LOSSY_FORMATS or (kind == "TIFF" and image.info.get("compression") in LOSSY_TIFF):
        return "JPEG" if kind in ("MPO", "TIFF") else kind
    return "lossy WebP" if kind == "WEBP" and not _is_lossless_webp(path.read_bytes()) else ""


def is_mixed(planes_CHW: np.ndarray) -> bool:
    """Whether many pixels along outlines have values between those of their neighbours, or equal none of them.

    That is what JPEG and scaling with interpolation make of ids and colours. Thin objects and single pixels in front of
    others do not count.
    """
    changes = mixed = 0
    for across in (planes_CHW, planes_CHW.transpose(0, 2, 1)):
        of_axis = _changes_and_mixtures(across)
        changes, mixed = changes + of_axis[0], mixed + of_axis[1]
    most = MOST_MIXED if changes >= FEW_CHANGES else MOST_MIXED_OF_FEW
    return mixed + ALONE_COUNTS * _alone(planes_CHW) > most * changes


def soft_mask(grey_HW: np.ndarray) -> np.ndarray | None:
    """(H, W) bool: the mask, if it is black and white with grey or noise only along its outlines; else None.

    grey_HW: uint8.
    """
    white_HW = grey_HW >= HALF
    if grey_HW.any() and not white_HW.any():
        return None  # ids, not shades
    window = 2 * BLOCK_PX + 1
    near_HW = maximum_filter(white_HW, window) & maximum_filter(~white_HW, window)
    grey = (grey_HW > BLACK) & (grey_HW < WHITE)
    return None if (grey & ~near_HW).any() else white_HW


def _changes_and_mixtures(planes_CHW: np.ndarray) -> tuple[int, int]:
    """Along the rows: how many neighbours differ, and how many short runs have a value between those beside them."""
    channels, _, width = planes_CHW.shape
    values = planes_CHW.reshape(channels, -1)
    begins = np.ones(values.shape[1], bool)
    begins[1:] = (values[:, 1:] != values[:, :-1]).any(axis=0)
    begins[::width] = True
    starts_R = np.flatnonzero(begins)
    row_R, length_R, value_R = starts_R // width, np.diff(starts_R, append=len(begins)), values[:, starts_R]
    before, here, after = value_R[:, :-2], value_R[:, 1:-1], value_R[:, 2:]
    between = ((here >= np.minimum(before, after)) & (here <= np.maximum(before, after))).all(axis=0)
    between &= (before != after).any(axis=0) & (length_R[1:-1] <= LONGEST_RUN_PX)
    between &= (row_R[1:-1] == row_R[:-2]) & (row_R[1:-1] == row_R[2:])
    return int((row_R[1:] == row_R[:-1]).sum()), int(between.sum())


def _alone(planes_CHW: np.ndarray) -> int:
    """The number of pixels that equal none of their eight neighbours."""
    paired = np.zeros(planes_CHW.shape[1:], bool)
    everywhere, first, last = slice(None), slice(None, -1), slice(1, None)
    for one, other in (
        ((everywhere, first), (everywhere, last)),
        ((first, everywhere), (last, everywhere)),
        ((first, first), (last, last)),
        ((first, last), (last, first)),
    ):
        equal = (planes_CHW[:, *one] == planes_CHW[:, *other]).all(axis=0)
        paired[one] |= equal
        paired[other] |= equal
    return int((~paired).sum())


def _is_lossless_webp(content: bytes) -> bool:
    """Whether the chunk of the first frame is VP8L, not VP8."""
    place = 12
    while place + 8 <= len(content):
        name, size = content[place : place + 4], int.from_bytes(content[place + 4 : place + 8], "little")
        if name in (b"VP8L", b"VP8 "):
            return name == b"VP8L"
        place += 8 + (16 if name == b"ANMF" else size + size % 2)  # the chunks of a frame lie behind 16 bytes of it
    return False
