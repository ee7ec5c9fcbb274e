"""Images as the encoders want them: the whole scene, and the crop around one object.

Shapes: H W input image, S output edge (518 officially).
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

CROP_MARGIN = 1.2


def scene_image(image_HWC: np.ndarray, mask_HW: np.ndarray, size: int) -> Tensor:
    """[4, S, S] in [0, 1]: the whole image, squeezed to a square, and the mask of one object as fourth channel.

    image_HWC: uint8 RGB or RGBA. Transparent pixels do not bleed into their neighbours and come out black.
    """
    return _unit(np.dstack([squeezed(image_HWC, size), squeezed_mask(mask_HW, size)]))


def instance_crop(image_HWC: np.ndarray, mask_HW: np.ndarray, size: int) -> Tensor:
    """[4, S, S] in [0, 1]: a square around the object with its surroundings, and its mask as fourth channel.

    The square's side is 1.2 times the longer side of the mask's bounding box; beyond the image it is black.
    Transparency is ignored. Raises ValueError if the mask is empty.
    """
    rows, columns = np.nonzero(mask_HW)
    if len(rows) == 0:
        raise ValueError("the mask is empty; nothing to crop around")
    box = crop_box((columns.min(), rows.min(), columns.max(), rows.max()))
    image, mask = cut(image_HWC[..., :3], box), cut(np.asarray(mask_HW), box)
    return _unit(np.dstack([squeezed(image, size), squeezed_mask(mask, size)]))


def crop_box(extent_px: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The square around an object: (left, upper, right, lower), the last two exclusive; may lie beyond the image.

    extent_px: its first column and row, and its last column and row, inclusive.
    """
    left, upper, right, lower = extent_px
    x, y = (left + right) / 2, (upper + lower) / 2
    half = max(right - left, lower - upper) / 2 * CROP_MARGIN
    return int(x - half), int(y - half), int(x + half), int(y + half)


def cut(image_HWx: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """A box of an image, zero beyond the image; without copying where the box lies inside."""
    left, upper, right, lower = box
    height, width = image_HWx.shape[:2]
    inside = image_HWx[max(upper, 0) : max(lower, 0), max(left, 0) : max(right, 0)]
    beyond = [(max(-upper, 0), max(lower - height, 0)), (max(-left, 0), max(right - width, 0))]
    if not any(map(any, beyond)):
        return inside
    return np.pad(inside, beyond + [(0, 0)] * (image_HWx.ndim - 2))


def squeezed(image_HWC: np.ndarray, size: int) -> np.ndarray:
    """(S, S, 3) uint8: a whole uint8 image as a square (Lanczos)."""
    image = Image.fromarray(np.ascontiguousarray(image_HWC))
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS).convert("RGB"))


def squeezed_mask(mask_HW: np.ndarray, size: int) -> np.ndarray:
    """(S, S) uint8, 0 or 255: a mask as a square (nearest)."""
    mask = Image.fromarray((mask_HW > 0).astype(np.uint8) * 255)
    return np.asarray(mask.resize((size, size), Image.Resampling.NEAREST))


def _unit(rgba_SS4: np.ndarray) -> Tensor:
    return torch.from_numpy(rgba_SS4.astype(np.float32) / 255).permute(2, 0, 1)
