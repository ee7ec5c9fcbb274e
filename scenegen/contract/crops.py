"""The crop of a clean view that an image encoder sees (`ObjectView.crop`)."""

import numpy as np
from PIL import Image

CROP_MARGIN = 1.2
"""Side of the crop, relative to the longer side of the object's box."""


def object_crop(rgba: np.ndarray, size_px: int) -> np.ndarray:
    """(H, W, 4) uint8 with straight alpha to (S, S, 3) uint8: the object on black, centred, with a margin.

    The square's side is 1.2 times the longer side of the box of all pixels that are not fully transparent; outside the
    image it is black. Resized with Lanczos after premultiplication, so that colours of empty pixels do not mix in.
    Raises ValueError if the image is empty.
    """
    rows, columns = np.nonzero(rgba[..., 3].any(axis=1))[0], np.nonzero(rgba[..., 3].any(axis=0))[0]
    if not len(rows):
        raise ValueError("nothing is seen in this view; there is nothing to crop around")
    left, upper, right, lower = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    half = CROP_MARGIN * max(right - left, lower - upper) / 2
    reach = int(np.ceil(half))  # the square cannot extend farther beyond the image
    x, y = reach + (left + right) / 2, reach + (upper + lower) / 2
    padded = Image.fromarray(np.pad(premultiplied(rgba), ((reach, reach), (reach, reach), (0, 0))))
    square = float(x - half), float(y - half), float(x + half), float(y + half)
    return np.asarray(padded.resize((size_px, size_px), Image.Resampling.LANCZOS, box=square))


def premultiplied(rgba: np.ndarray) -> np.ndarray:
    """(..., 4) uint8 with straight alpha to (..., 3) uint8 on black."""
    product = rgba[..., :3].astype(np.uint16) * rgba[..., 3:]
    return ((product + 127) // 255).astype(np.uint8)
