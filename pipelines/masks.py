"""Instance masks: their outline, where depth and colour are unreliable, and the confidence that follows.

Shapes: H W image, h w window of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

EDGE_CONFIDENCE = 0.5
EDGE_SHARE = 6 / 1024
"""Of the image's width: how far the outline reaches into the mask; two erosions of radius 3 at 1024 pixels."""


@lru_cache
def ellipse_kernel(size: int = 7) -> Tensor:
    """[size, size] bool: rows of an ellipse, their half widths rounded to pixels."""
    radius = size // 2
    row = torch.arange(size) - radius
    half_width = (radius**2 - row**2).clamp(min=0).double().sqrt().round()
    return row.abs()[None, :] <= half_width[:, None]


def dilate(mask_HW: Tensor, kernel: Tensor, iterations: int = 1) -> Tensor:
    """Binary dilation; nothing comes in from outside the image."""
    grown = mask_HW.bool()
    for _ in range(iterations):
        grown = _combined(grown, kernel, torch.Tensor.logical_or_)
    return grown


def erode(mask_HW: Tensor, kernel: Tensor, iterations: int = 1) -> Tensor:
    """Binary erosion; outside the image counts as empty."""
    shrunk = mask_HW.bool()
    for _ in range(iterations):
        shrunk = _combined(shrunk, kernel, torch.Tensor.logical_and_)
    return shrunk


def _combined(mask_HW: Tensor, kernel: Tensor, combine_: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """A mask and its copies moved by every pixel of the kernel: bytes, many times quicker than a convolution."""
    H, W = mask_HW.shape
    radius = kernel.shape[0] // 2
    padded = F.pad(mask_HW, (radius,) * 4)
    result = mask_HW.clone()
    rows_of: dict[tuple[int, ...], list[int]] = {}  # equal rows of the kernel are moved sideways once
    for row, columns in enumerate(kernel.tolist()):
        rows_of.setdefault(tuple(np.flatnonzero(columns).tolist()), []).append(row)
    for (first, *others), rows in rows_of.items():
        spread = padded[:, first : first + W].clone()
        for column in others:
            combine_(spread, padded[:, column : column + W])
        for row in rows:
            combine_(result, spread[row : row + H])
    return result


def edge_mask(mask_HW: Tensor, kernel_size: int = 7, iterations: int = 2) -> Tensor:
    """[H, W] bool: dilation minus erosion."""
    kernel = ellipse_kernel(kernel_size).to(mask_HW.device)
    mask = mask_HW.bool()
    return dilate(mask, kernel, iterations) & ~erode(mask, kernel, iterations)


def confidence(mask_HW: Tensor) -> Tensor:
    """[H, W] float: 1 inside the object, 0.5 on its outline (both sides of it), 0 elsewhere."""
    edge = edge_mask(mask_HW)
    return (mask_HW.bool() & ~edge).float() + EDGE_CONFIDENCE * edge.float()


def interior(mask_hw: np.ndarray, image_width: int | None = None) -> np.ndarray:
    """[h, w] bool: a mask without its outline; beyond the window nothing belongs to it.

    image_width: of the whole image, in pixels, if the mask is a window of it.
    """
    reach = max(1, round(EDGE_SHARE * (image_width or mask_hw.shape[1])))
    iterations = 2 if reach % 2 == 0 and reach > 2 else 1
    kernel = ellipse_kernel(2 * (reach // iterations) + 1)
    return erode(torch.from_numpy(mask_hw), kernel, iterations).numpy()
