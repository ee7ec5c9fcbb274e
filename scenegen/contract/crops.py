"""The crop of a clean view that an image encoder sees (`ObjectView.crop`)."""

import numpy as np
from PIL import Image

CROP_MARGIN = 1.2
"""Side of the crop in sides of the object's box."""


def object_crop(rgba: np.ndarray, size_px: int) -> np.ndarray:
    """(H, W, 4) uint8 with straight alpha to (S, S, 3) uint8: the object on black, centred, with a margin.

    The square's side is 1.2 times the longer side of the box of everything that is not fully transparent; beyond the
    image it is black. Resized with Lanczos, premultiplied, so that colours of the empty parts do not bleed in.
    Raises ValueError if the image is empty.
    """
    rows, columns = np.nonzero(rgba[..., 3].any(axis=1))[0], np.nonzero(rgba[..., 3].any(axis=0))[0]
    if not len(rows):
        raise ValueError("nothing is seen in this view; there is nothing to crop around")
    left, upper, right, lower = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    half = CROP_MARGIN * max(right - left, lower - upper) / 2
    reach = int(np.ceil(half))  # no side of the square can lie further beyond the image
    x, y = reach + (left + right) / 2, reach + (upper + lower) / 2
    padded = Image.fromarray(np.pad(premultiplied(rgba), ((reach, reach), (reach, reach), (0, 0))))
    square = float(x - half), float(y - half), float(x + half), float(y + half)
    return np.asarray(padded.resize((size_px, size_px), Image.Resampling.LANCZOS, box=square))


def premultiplied(rgba: np.ndarray) -> np.ndarray:
    """(..., 4) uint8 with straight alpha to (..., 3) uint8 on black."""
    product = rgba[..., :3].astype(np.uint16) * rgba[..., 3:]
    return ((product + 127) // 255).astype(np.uint8)
