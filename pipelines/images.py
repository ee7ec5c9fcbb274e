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
    return _resized(Image.fromarray(image_HWC), _binary(mask_HW), size)


def instance_crop(image_HWC: np.ndarray, mask_HW: np.ndarray, size: int) -> Tensor:
    """[4, S, S] in [0, 1]: a square around the object with its surroundings, and its mask as fourth channel.

    The square's side is 1.2 times the longer side of the mask's bounding box; beyond the image it is black.
    Transparency is ignored.
    """
    rows, columns = np.nonzero(mask_HW)
    if len(rows) == 0:
        raise ValueError("the mask is empty; nothing to crop around")
    centre = (columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2
    half = max(columns.max() - columns.min(), rows.max() - rows.min()) / 2 * CROP_MARGIN
    left, upper = int(centre[0] - half), int(centre[1] - half)
    box = (left, upper, int(centre[0] + half), int(centre[1] + half))
    return _resized(
        Image.fromarray(np.ascontiguousarray(image_HWC[..., :3])).crop(box), _binary(mask_HW).crop(box), size
    )


def _binary(mask_HW: np.ndarray) -> Image.Image:
    return Image.fromarray((np.asarray(mask_HW) > 0).astype(np.uint8) * 255)


def _resized(image: Image.Image, mask: Image.Image, size: int) -> Tensor:
    image = image.resize((size, size), Image.Resampling.LANCZOS).convert("RGB")
    mask = mask.resize((size, size), Image.Resampling.NEAREST)
    rgba = np.dstack([np.asarray(image), np.asarray(mask)])
    return torch.from_numpy(rgba.astype(np.float32) / 255).permute(2, 0, 1)
