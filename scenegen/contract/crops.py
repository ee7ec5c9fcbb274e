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
    centre_x, centre_y = (left + right) / 2, (upper + lower) / 2
    box = (centre_x - half, centre_y - half, centre_x + half, centre_y + half)
    return _resized(premultiplied(rgba), box, size_px)


def premultiplied(rgba: np.ndarray) -> np.ndarray:
    """(..., 4) uint8 with straight alpha to (..., 3) uint8 on black."""
    product = rgba[..., :3].astype(np.uint16) * rgba[..., 3:]
    return ((product + 127) // 255).astype(np.uint8)


def _resized(rgb: np.ndarray, box: tuple[float, ...], size_px: int) -> np.ndarray:
    """The box (left, upper, right, lower) of an image, which may reach beyond it, at another size."""
    margin = int(np.ceil(max(0.0, -min(box[:2]), box[2] - rgb.shape[1], box[3] - rgb.shape[0])))
    padded = Image.fromarray(np.pad(rgb, ((margin, margin), (margin, margin), (0, 0))))
    moved = tuple(float(value + margin) for value in box)
    return np.asarray(padded.resize((size_px, size_px), Image.Resampling.LANCZOS, box=moved))
